"""Figures in Prometheus' text format, as its server and node_exporter's textfile collector read it.

A family is announced once, with HELP and TYPE, and all its samples follow. Label values have backslashes, quotes and
line ends escaped; what is no name to Prometheus becomes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

PREFIX = "holdfast_"
Labels = Mapping[str, str]


def family(
    name: str,
    told: str,
    samples: Sequence[tuple[Labels, int | float]],
    *,
    kind: Literal["gauge", "counter"] = "gauge",
) -> Iterator[str]:
    """The lines of one family, `told` in words; none without samples."""
    if samples:
        full = PREFIX + _name(name)
        yield from _announced(full, told, kind)
        for labels, figure in samples:
            yield _sample(full, labels, figure)


def summary(name: str, told: str, samples: Sequence[tuple[Labels, Mapping[str, float], float, int]]) -> Iterator[str]:
    """The lines of a family of summaries: of each the labels, the quantiles ("0.5"), the sum and the count."""
    if samples:
        full = PREFIX + _name(name)
        yield from _announced(full, told, "summary")
        for labels, quantiles, total, count in samples:
            for quantile, figure in quantiles.items():
                yield _sample(full, {**labels, "quantile": quantile}, figure)
            yield _sample(full + "_sum", labels, total)
            yield _sample(full + "_count", labels, count)


def _announced(full: str, told: str, kind: str) -> Iterator[str]:
    yield f"# HELP {full} {_escaped(told, quoted=False)}"
    yield f"# TYPE {full} {kind}"


def _sample(full: str, labels: Labels, figure: int | float) -> str:
    named = ",".join(f'{_name(label)}="{_escaped(text, quoted=True)}"' for label, text in labels.items())
    return f"{full}{{{named}}} {figure}"


def _name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


def _escaped(text: str, *, quoted: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quoted else text

"""Figures in Prometheus' text format, as its server and node_exporter's textfile collector read it.

A family is announced once, with HELP and TYPE, and all its samples follow. Label values have backslashes, quotes and
line ends escaped; what is no name to Prometheus becomes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from holdfast.model.stats import Stats

PREFIX = "holdfast_"
Labels = Mapping[str, str]

_HELP = {
    "scopes": "Live scopes: sessions, users, agents, globals.",
    "records": "Records kept in the logs of all scopes.",
    "bytes": "Bytes of values and log records.",
    "cells": "Values kept, by kind.",
    "value_bytes": "Bytes of the values kept, by kind.",
    "file_bytes": "Bytes of the store's file.",
    "free_bytes": "Bytes within the store's file that are free.",
    "entries": "Index entries.",
    "schema": "Version of the store's schema.",
    "info": "Always 1; what the store runs on stands in the labels.",
}


def exposition(stats: Stats, *, space: str) -> Iterator[str]:
    """The lines, each without its end; every sample names its space."""
    here = {"space": space}
    for name in ("scopes", "records", "bytes"):
        yield from family(name, [(here, getattr(stats, name))])
    kinds = stats.kinds.items()
    yield from family("cells", [({**here, "kind": kind}, figures.count) for kind, figures in kinds])
    yield from family("value_bytes", [({**here, "kind": kind}, figures.bytes) for kind, figures in kinds])
    texts = {}
    for name, figure in stats.store.items():
        if isinstance(figure, str):
            texts[name] = figure
        else:
            yield from family(name, [(here, figure)])
    yield from family("info", [({**here, **texts}, 1)])


def family(name: str, samples: list[tuple[Labels, int | float]]) -> Iterator[str]:
    """One family of gauges; none without samples."""
    if not samples:
        return
    full = PREFIX + _name(name)
    yield f"# HELP {full} {_escaped(_HELP.get(name, f'The figure {name} of the store.'), quoted=False)}"
    yield f"# TYPE {full} gauge"
    for labels, figure in samples:
        told = ",".join(f'{_name(label)}="{_escaped(text, quoted=True)}"' for label, text in labels.items())
        yield f"{full}{{{told}}} {figure}"


def _name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


def _escaped(text: str, *, quoted: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quoted else text

"""What `holdfast doctor` finds: one fact, what to think of it, and what to do."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Verdict = Literal["ok", "note", "problem"]


class Finding(NamedTuple):
    """One fact about the store or where it lives. A remedy stands with everything that is not ok."""

    area: str
    name: str
    value: Any
    verdict: Verdict = "ok"
    remedy: str = ""

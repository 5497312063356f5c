"""What a process holds in memory, as the system counts it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Now. Where the system does not tell, the most so far."""
    return _status("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """The most so far. (Not by rusage where that can be helped: it counts the parent before the exec.)"""
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    if not STATUS.exists():
        return 0
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0

"""How fast Python runs here and now: by it figures in microseconds are read at another hour, or on another machine."""

from __future__ import annotations

import time
from statistics import median

REFERENCE_S = 0.020
"""What a million additions take on the machine that the goals in time were set on, with nobody beside."""

ADDITIONS = 200_000
TRIES = 5


def pace() -> float:
    """The speed of pure Python now, 1.0 where the goals were set: 0.25 stretches what is CPU bound to four times."""
    return REFERENCE_S * ADDITIONS / 1e6 / median(_additions_s() for _ in range(TRIES))


def _additions_s() -> float:
    total = 0
    began = time.process_time()
    for number in range(ADDITIONS):
        total += number
    return time.process_time() - began

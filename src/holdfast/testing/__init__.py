"""The shipped kit: the guarantees, the checks that prove them, and what is needed to run them on any kernel.

`conform` runs the conformance kit on a kernel and reports; `conformance_tests` makes pytest tests of it. `clock` has
the clock and ids that a test owns, `resending` lets a kernel that loses replies through the kit, `mutants` holds the
broken kernels, and broken parts of the domain, that prove the kit itself.
"""

from holdfast.testing.clock import LeapingClock, ManualClock, SeededIds
from holdfast.testing.conformance import Report, Result, Subject, conform, conformance_tests
from holdfast.testing.guarantees import GUARANTEES, Guarantee

__all__ = [
    "GUARANTEES",
    "Guarantee",
    "LeapingClock",
    "ManualClock",
    "Report",
    "Result",
    "SeededIds",
    "Subject",
    "conform",
    "conformance_tests",
]

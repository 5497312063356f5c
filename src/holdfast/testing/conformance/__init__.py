"""The conformance kit: what every kernel owes, as checks that anybody can run on theirs.

    report = await conform(lambda space: MyKernel(store, space=space))
    assert report.passed, str(report)

It is of two parts: what the verbs of a kernel promise, and what the domain on it does, opened as any process opens it.

Each check is a plain coroutine on a `Bench` (a fresh space of the kernel, a manual clock, seeded ids), names the
guarantees it proves, and says in a sentence what it shows. Nothing sleeps. The function given opens a kernel on a
space by name, of one and the same store; `Subject` says beside it what a kernel is not capable of, and the report
lists what was therefore left out. In pytest: `test_conforms = conformance_tests(…)`.

A kernel that answers Indeterminate or Unavailable at random passes through `holdfast.testing.resending`.
"""

from holdfast.testing.conformance.bench import Bench, Capability, Open, Subject
from holdfast.testing.conformance.check import Check, proves
from holdfast.testing.conformance.expect import Broken
from holdfast.testing.conformance.pytests import conformance_tests
from holdfast.testing.conformance.report import Report, Result
from holdfast.testing.conformance.run import CHECKS, conform, run_check

__all__ = [
    "CHECKS",
    "Bench",
    "Broken",
    "Capability",
    "Check",
    "Open",
    "Report",
    "Result",
    "Subject",
    "conform",
    "conformance_tests",
    "proves",
    "run_check",
]

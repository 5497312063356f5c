"""The weakest kernel keeps every guarantee within what it declares."""

from pathlib import Path
from random import Random

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.kernel.commit import CommitId
from holdfast.testing import LeapingClock, conformance_tests
from holdfast.testing.conformance import Open
from holdfast.testing.resending import Resending
from holdfast.wrappers.faults import Chances
from holdfast.wrappers.weakest import weakest


def opener(_path: Path) -> Open:
    store, clock, random, sent = MemoryStore(), LeapingClock(), Random(1), dict[CommitId, bool]()
    # Many more faults than by default; what left no record is not lost, for only its author could send it again.
    plan = Chances(random, 0.15, 0.15, 0.15, hint_lost=0.5, hint_doubled=0.2, delay_s_max=0.02, traceless=False)
    return lambda space: Resending(
        weakest(MemoryKernel(store, space=space), clock=clock, random=random, plan=plan), sent=sent
    )


test_weakest_conforms = conformance_tests(opener)

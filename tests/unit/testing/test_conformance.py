"""The runner of the kit: what it reports, what it leaves out, and what it leaves behind."""

import asyncio

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Corrupt
from holdfast.kernel.contract import Kernel
from holdfast.kernel.limits import Traits
from holdfast.testing import GUARANTEES, Result, Subject, conform, conformance_tests
from holdfast.testing.conformance import CHECKS, Bench, Broken, Check, Open, expect, proves, run_check


def memory() -> Open:
    store = MemoryStore()
    return lambda space: MemoryKernel(store, space=space)


async def test_a_kernel_that_keeps_its_word_passes_and_the_report_says_so() -> None:
    heard: list[Result] = []
    report = await conform(memory(), seed=7, done=heard.append)
    assert report.passed, str(report)
    assert (report.failed, report.not_owed, report.missing, report.seed) == ((), (), (), 7)
    assert tuple(heard) == report.results
    assert [result.check for result in report.results] == [check.name for check in CHECKS]
    lines = report.lines()
    assert [line.split()[:2] for line in lines[: len(GUARANTEES)]] == [
        ["kept", guarantee.number] for guarantee in GUARANTEES
    ]
    assert lines[-1].startswith(f"{len(CHECKS)} of {len(CHECKS)} checks passed in ")


async def test_the_kernel_may_be_opened_by_a_coroutine() -> None:
    store = MemoryStore()

    async def opened(space: str) -> Kernel:
        await asyncio.sleep(0)
        return MemoryKernel(store, space=space)

    assert (await conform(opened, only={"G20"})).passed


async def test_a_broken_promise_is_reported_with_what_was_found() -> None:
    class Forgetful(MemoryKernel):
        async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
            await super().scopes(after=after, limit=limit)
            return ()

    store = MemoryStore()
    report = await conform(lambda space: Forgetful(store, space=space), only={"G15"})
    [result] = [result for result in report.failed if result.check == "indexes.the_names_of_live_scopes_are_exact"]
    assert not report.passed
    assert result.broken
    assert "expected ('session/b',), found ()" in result.error
    text = str(report)
    assert "FAILED   G15  exact indexes" in text
    assert "failed   indexes.the_names_of_live_scopes_are_exact (G15)" in text
    assert result.sentence in text


@pytest.mark.parametrize(
    ("raised", "broken", "told"),
    [(ZeroDivisionError("oops"), False, "ZeroDivisionError: oops at "), (Corrupt("a gap"), True, "Corrupt: a gap at ")],
)
async def test_a_crash_of_the_kernel_is_told_from_a_broken_promise(raised: Exception, broken: bool, told: str) -> None:
    class Crashing(MemoryKernel):
        async def stats(self) -> dict[str, int | float | str]:
            raise raised

    report = await conform(
        lambda space: Crashing(space=space), only={"durability.the_figures_count_what_was_acknowledged"}
    )
    [result] = report.failed
    assert result.broken is broken
    assert result.error.startswith(told)
    assert "test_conformance.py" in result.error


async def test_a_kernel_that_never_answers_fails_at_the_deadline() -> None:
    class Silent(MemoryKernel):
        async def stats(self) -> dict[str, int | float | str]:
            await asyncio.Event().wait()
            return {}

    only = {"durability.the_figures_count_what_was_acknowledged"}
    report = await conform(lambda space: Silent(space=space), only=only, deadline_s=0.05)
    assert [result.error for result in report.failed] == ["it did not come to an end within 0.05 s"]


async def test_what_a_kernel_is_declared_to_be_without_is_left_out_and_named() -> None:
    alone = Subject(lambda space: MemoryKernel(space=space), without=frozenset({"second", "reopen"}))
    report = await conform(alone, only={"G5", "G6", "G20"})
    assert report.passed
    needing = {check.name for check in CHECKS if check.needs and {"G5", "G6", "G20"} & set(check.proves)}
    assert {result.check for result in report.not_owed} == needing
    assert all("it is declared to be without" in result.error for result in report.not_owed)
    assert all(name in str(report) for name in needing)


async def test_without_the_declaration_it_fails() -> None:
    report = await conform(lambda space: MemoryKernel(space=space), only={"G5"})
    assert {result.check for result in report.failed} >= {"ids.another_kernel_knows_what_was_applied"}


async def test_a_guarantee_of_which_nothing_ran_is_missing_and_the_report_does_not_pass() -> None:
    report = await conform(Subject(memory(), without=frozenset({"reopen"})), only={"G6"})
    assert report.missing == ()
    ran = tuple(result for result in report.results if "G6" not in result.guarantees)
    hollow = type(report)(ran, ("G6",), 1)
    assert hollow.missing == ("G6",)
    assert not hollow.passed
    assert "MISSING  G6" in str(hollow)


async def test_a_durable_kernel_may_not_be_without_reopen() -> None:
    durable = Subject(
        lambda space: MemoryKernel(space=space, traits=Traits(durability="fsync")), without=frozenset({"reopen"})
    )
    report = await conform(durable, only={"cuts.a_view_does_not_change_later"})
    assert "it cannot be without reopen" in report.failed[0].error


async def test_only_takes_guarantees_groups_and_names_and_nothing_else() -> None:
    report = await conform(memory(), only={"G20", "stamps", "ids.a_repeat_is_not_judged_again"})
    groups = {result.check.partition(".")[0] for result in report.results}
    assert groups == {"ending", "stamps", "ids"}
    assert report.wanted == ("G20",)
    with pytest.raises(ValueError, match="is called G99, nonsense"):
        await conform(memory(), only={"G1", "G99", "nonsense"})


async def test_a_store_can_be_tested_again_and_is_left_empty_when_asked() -> None:
    store = MemoryStore()
    opened: set[str] = set()

    def opener(space: str) -> Kernel:
        opened.add(space)
        return MemoryKernel(store, space=space)

    for _ in range(2):
        report = await conform(opener, only={"G9", "G16", "G20"}, clean=True)
        assert report.passed
        assert report.left == ()
    assert len(opened) > 20
    assert [name for name in opened if store.space(name).scopes] == []


async def test_a_space_that_cannot_be_emptied_is_named() -> None:
    class Stubborn(MemoryKernel):
        async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
            raise Corrupt("no")

    store = MemoryStore()
    report = await conform(lambda space: Stubborn(store, space=space), only={"stamps.stamps_never_repeat"}, clean=True)
    assert report.passed
    [space] = report.left
    assert f"space {space} could not be emptied" in str(report)


async def test_one_seed_gives_one_run_and_each_check_a_space_of_its_own() -> None:
    def spaces(into: list[str]) -> Open:
        store = MemoryStore()

        def opened(space: str) -> Kernel:
            into.append(space)
            return MemoryKernel(store, space=space)

        return opened

    runs: list[list[str]] = [[], [], []]
    for into, seed in zip(runs, (1, 1, 2), strict=True):
        await conform(spaces(into), seed=seed, only={"G17"})
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])


async def test_every_kernel_a_check_opened_is_closed_though_it_fails() -> None:
    opened: list[MemoryKernel] = []

    def opener(space: str) -> Kernel:
        opened.append(MemoryKernel(space=space))
        return opened[-1]

    @proves("G9")
    async def failing(bench: Bench) -> None:
        """It fails."""
        await bench.other_space()
        expect.fail("as it should")

    with pytest.raises(Broken, match="as it should"):
        await run_check(failing, opener, seed=1)
    assert [kernel._closed for kernel in opened] == [True, True]


def test_a_check_has_a_sentence_and_proves_what_there_is() -> None:
    async def silent(bench: Bench) -> None:
        pass

    with pytest.raises(ValueError, match="silent has no sentence"):
        proves("G1")(silent)
    with pytest.raises(ValueError, match="no such guarantees: G99"):
        proves("G99")


def test_every_guarantee_has_several_checks_and_every_check_a_sentence_of_its_own() -> None:
    for guarantee in GUARANTEES:
        assert len([check for check in CHECKS if guarantee.number in check.proves]) >= 4, guarantee
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert len({check.sentence for check in CHECKS if "The same" not in check.sentence}) >= len(CHECKS) - 8
    assert all(isinstance(check, Check) and check.sentence.endswith(".") for check in CHECKS)


def test_pytest_gets_a_case_for_each_check_that_is_owed() -> None:
    [mark] = conformance_tests(lambda path: memory(), without={"second"}).pytestmark  # type: ignore[attr-defined]
    cases = mark.args[1]
    assert {check.name for check in CHECKS} - {check.name for check in cases} == {
        check.name for check in CHECKS if "second" in check.needs
    }


class Picky:
    """Equal to nothing, and long."""

    def __repr__(self) -> str:
        return "x" * 1000


async def test_statements_say_what_was_expected_and_found() -> None:
    async def answers() -> int:
        return 7

    async def crashes() -> int:
        raise KeyError("k")

    with pytest.raises(Broken, match="the seq: expected 1, found 2"):
        expect.same(2, 1, "the seq")
    with pytest.raises(Broken, match="1000 characters"):
        expect.same(Picky(), Picky(), "long things")
    with pytest.raises(Broken, match="the outcome: expected int, found 'text'"):
        expect.a(int, "text", "the outcome")
    with pytest.raises(Broken, match=r"a verb: expected Corrupt, it returned 7"):
        await expect.raises(Corrupt, answers(), "a verb")
    with pytest.raises(Broken, match="expected Corrupt, it raised KeyError"):
        await expect.raises(Corrupt, crashes(), "a verb")
    assert isinstance(await expect.raises(KeyError, crashes(), "a verb"), KeyError)

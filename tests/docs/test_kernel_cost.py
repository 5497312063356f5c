"""The table of costs says what the code does."""

import pytest

from holdfast.backends.memory.kernel import TRAITS as MEMORY
from holdfast.backends.sqlite.kernel import TRAITS as SQLITE
from holdfast.kernel.contract import Kernel
from holdfast.kernel.limits import Traits
from tests.docs.features import FEATURES, cost_of
from tests.docs.runner import ROOT

PAGE = ROOT / "docs" / "explanation" / "kernel-cost.md"
BACKENDS = ("memory", "sqlite", "files", "postgres", "redis", "redis cluster", "dynamodb")


def section(title: str) -> list[str]:
    """The table rows under a heading, without the head of the table."""
    text = PAGE.read_text(encoding="utf-8")
    _, heading, rest = text.partition(f"\n{title}\n")
    assert heading, f"no heading {title!r}"
    return [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("name", FEATURES)
async def test_a_feature_costs_what_its_row_says(name: str) -> None:
    """Verbs, rows, conditions, cells, entries and bytes, counted between the domain and the kernel."""
    assert (await cost_of(FEATURES[name])).row(name) in section("## Features")


def test_no_row_tells_of_a_feature_that_is_not_counted() -> None:
    assert [row.split("`")[1] for row in section("## Features")] == list(FEATURES)


def test_every_verb_is_told_for_every_backend() -> None:
    verbs = Kernel.__abstractmethods__
    text = PAGE.read_text(encoding="utf-8")
    told = {line.removeprefix("### `").removesuffix("`") for line in text.splitlines() if line.startswith("### `")}
    assert told == verbs
    for verb in verbs:
        rows = text.partition(f"\n### `{verb}`\n")[2].partition("\n##")[0].splitlines()
        backends = [
            row.split("|")[1].strip() for row in rows if row.startswith("| ") and not row.startswith("| backend")
        ]
        assert tuple(backends) == BACKENDS, verb


@pytest.mark.parametrize(("name", "traits"), [("memory", MEMORY), ("sqlite", SQLITE)])
def test_the_traits_of_a_backend_that_exists_are_those_it_declares(name: str, traits: Traits) -> None:
    [row] = [row for row in section("## Traits") if row.startswith(f"| `{name}` |")]
    assert [column.strip() for column in row.split("|")[2:-1]] == [
        traits.durability,
        traits.span,
        traits.cache,
        size(traits.value_bytes_max),
        f"{traits.operations_max:,}",
        size(traits.commit_bytes_max),
        f"{traits.poll_s:g} s",
    ]


def size(count: int) -> str:
    """`16 MiB`: bytes in the largest unit that divides them."""
    unit = next(unit for unit in (30, 20, 10, 0) if count % (1 << unit) == 0)
    return f"{count >> unit} {dict(zip((30, 20, 10, 0), ('GiB', 'MiB', 'KiB', 'B'), strict=True))[unit]}"

"""`holdfast state diff`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from holdfast import Diff, State
from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.state.place import NamespaceOption, NoKey, ScopeArgument, state_at
from holdfast.cli.store import opened, run
from holdfast.errors import InvalidValue

PAST_MAX = 10_000
"""So many values of a key are looked through for the one it had."""

COLUMNS = ("key", "change", "before", "after", "version", "at", "by")


OPTIONS = {"since": "--from", "until": "--to"}


def diff_state(
    ctx: typer.Context,
    scope: ScopeArgument,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY", help="Only these keys.")] = None,
    since: Annotated[
        int | None,
        typer.Option("--from", min=0, help="The earlier version; the oldest that the log reaches if left out."),
    ] = None,
    until: Annotated[int | None, typer.Option("--to", min=0, help="The later version; now if left out.")] = None,
    namespace: NamespaceOption = "",
    output: OutputOption = None,
) -> None:
    """Show which keys differ between two versions of a scope, with their values then and after.

    Versions are what `state set` and `state history` print: every commit to the scope takes the next one. A key that
    neither version has is exit code 3; what is to be told of the others is told all the same.

    \b
    holdfast -s app.db state diff user/ada --from 40 --to 42
    holdfast -s app.db state diff session/0197a2c4-… cart
    """

    if since is not None and until is not None and since > until:
        raise typer.BadParameter(f"version {since} is later than version {until}", param_hint="--from")

    async def work() -> tuple[Diff, list[str]]:
        async with opened(ctx) as hold:
            state = state_at(hold, scope, namespace)
            try:
                found = await state.diff(since=since, until=until)
            except InvalidValue as problem:
                raise _by_option(problem) from problem
            differ = {item.key for item in found.items}
            alike = [key for key in dict.fromkeys(keys or ()) if key not in differ]
            return found, [key for key in alike if not await _was_there(state, key, found.until)]

    found, strange = run(work())
    rows = [msgspec.structs.asdict(item) for item in found.items if not keys or item.key in keys]
    write_rows(rows, output, columns=COLUMNS, none="no difference")
    if any(not row["known"] for row in rows):
        note("the log no longer reaches the earlier value of some keys: their change says set or deleted")
    note(f"{scope}: version {found.since} compared with version {found.until}")
    if strange:
        where = f"{scope}, namespace {namespace!r}" if namespace else scope
        said = f"neither version of {where} has a key {', '.join(map(repr, strange))}"
        raise NoKey(said, remedy=_meant(scope, strange), scope=scope, keys=strange)


def _by_option(problem: InvalidValue) -> InvalidValue:
    """The same, of the option that it is about."""
    said, path = str(problem.args[0]), str(problem.facts.get("path"))
    if path not in OPTIONS:
        return problem
    remedy = "Versions are what `holdfast state history` prints; leave the option out for what the log reaches."
    return InvalidValue(said.replace(path, OPTIONS[path], 1), remedy=remedy, path=path)


async def _was_there(state: State, key: str, version: int) -> bool:
    """Whether a key that does not differ was there, in both versions then; also if the log no longer tells."""
    past = await state.history(key, limit=PAST_MAX)
    at = next((value for value in past.items if value.version <= version), None)
    if at is not None:
        return not at.deleted
    return not past.complete and (bool(past.items) or await state.has(key))


def _meant(scope: str, strange: list[str]) -> str | None:
    """A remedy for those who took versions for arguments; None, so that of the class, for everybody else."""
    if len(strange) > 2 or not all(key.isascii() and key.isdecimal() for key in strange):
        return None
    options = " ".join(f"{name} {version}" for name, version in zip(("--from", "--to"), strange, strict=False))
    return f"Arguments after the scope are keys; versions are options: holdfast state diff {scope} {options}"

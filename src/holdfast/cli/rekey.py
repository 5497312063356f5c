"""`holdfast rekey`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer

from holdfast.cli.output import Format, OutputOption, chosen, note, write_document, write_table
from holdfast.cli.store import opened, run
from holdfast.model.keyring import Rekeyed

Told = Callable[[Rekeyed], None]


def rekey(
    ctx: typer.Context,
    from_plain: Annotated[
        bool, typer.Option("--from-plain", help="Encrypt also what is not encrypted yet: for a store that was plain.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Encrypt everything in the store under the active key, while it is in use.

    The keys come from the environment: HOLDFAST_KEYS is id=BASE64 of 32 bytes, with commas between several, and
    HOLDFAST_KEY_ACTIVE the id of the one to encrypt with (the first, if it is not set). Give every process that writes
    the new active key before. May be interrupted and run again. Exit code 1 if older bytes are left in the files.

    \b
    HOLDFAST_KEYS="2026-11=$NEW,2026-10=$OLD" holdfast -s app.db rekey
    HOLDFAST_KEYS="2026-11=$NEW" holdfast -s app.db rekey --from-plain
    """

    async def work() -> Rekeyed:
        async with opened(ctx, strict=not from_plain) as hold:
            with telling() as tell:
                return await hold.rekey(tell)

    done = run(work())
    if chosen(output) is Format.TABLE:
        write_table([{"seen": done.seen, "changed": done.changed, "scrubbed": "yes" if done.scrubbed else "no"}])
    else:
        write_document(msgspec.structs.asdict(done), output)
    if not done.scrubbed:
        note("older bytes are left in the store's files: run it again when no other process reads from the store")
        raise typer.Exit(1)


@contextmanager
def telling() -> Iterator[Told | None]:
    """What shows on a terminal how far it is."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("looking") as status:

        def tell(done: Rekeyed) -> None:
            status.update(f"{done.seen} of some {done.total} cells and records seen, {done.changed} encrypted anew")

        yield tell

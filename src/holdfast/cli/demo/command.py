"""`holdfast demo`: the command."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.demo import ledger as ledgers
from holdfast.cli.demo.approval import perform
from holdfast.cli.demo.conductor import Conductor
from holdfast.cli.demo.files import list_files, spell
from holdfast.cli.demo.ledger import Ledger, Plan
from holdfast.cli.demo.lock import alone
from holdfast.cli.demo.proof import Proof, prove
from holdfast.cli.demo.report import left_out, print_counts, print_figures
from holdfast.cli.demo.screen import Screen, screen
from holdfast.cli.output import note
from holdfast.cli.store import file_of, keys, run
from holdfast.cli.where import to_url, where
from holdfast.hold import Holdfast

STORE = "holdfast-demo.db"
SEED_MAX = 10**6


def demo(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The folder to work through.", exists=True, file_okay=False)
    ] = Path(),
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            "-s",
            metavar="FILE",
            help=f"Where to keep the work: {STORE} if no store is named, here or before the command. "
            "HOLDFAST_URL is not used.",
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a progress bar.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Forget an earlier run over this folder.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat the kills of a run that printed this seed.")] = None,
) -> None:
    """Count the files of a folder in a process that is killed twice, and prove that nothing was lost or doubled.

    Each file is one transaction: its count, the totals, a message and the progress. Run it again after Ctrl-C and it
    goes on; run it again when it is done and it proves its figures again. Exit code 1 if one does not hold.

    Then a workflow asks whether the figures may be published, and is killed while it waits. The answer is yours; where
    nobody is at a terminal it is a yes after a second.

    \b
    holdfast demo
    holdfast demo ~/src/project --store scratch.db --plain
    """
    url = to_url(_chosen_store(ctx, store))
    if file_of(url) is None:
        raise typer.BadParameter("the demo's processes share a file: name one", param_hint="--store")
    number = random.randrange(SEED_MAX) if seed is None else seed
    root = os.path.abspath(os.fsencode(path))
    stage = screen(plain=plain)
    try:
        proof = run(_demo(url, where(ctx).space, root, again=again, seed=number, stage=stage))
    except KeyboardInterrupt:
        stage.close()
        note("interrupted; run it again and it goes on where it stopped")
        raise
    finally:
        stage.close()
    print_counts(proof)
    print_figures(proof)
    if not proof.holds:
        note("error: a figure does not hold [demo_failed]")
        note("       What it found stands with it; `holdfast doctor` examines the store.")
        raise typer.Exit(1)


def _chosen_store(ctx: typer.Context, own: str | None) -> str:
    """The store that was named on the command line, before or after the command. What the environment names is spared:
    trying the demo writes to no store that was set up for something else."""
    source = ctx.find_root().get_parameter_source("store")
    before = where(ctx).store if source is not None and source.name == "COMMANDLINE" else None
    if own and before and to_url(own) != to_url(before):
        raise typer.BadParameter(f"two stores are named, {before} and {own}: name one", param_hint="--store")
    return own or before or STORE


async def _demo(url: str, space: str, root: bytes, *, again: bool, seed: int, stage: Screen) -> Proof:
    store = file_of(url)
    assert store is not None
    async with (
        Holdfast.open(url, space=space, keys=keys(), background=False) as hold,
        alone(store, space, root) as lock,
    ):
        with hold.acting(by="demo"):
            ledger = await _ledger(hold, root, store, again=again, stage=stage)
            plan = await ledger.plan()
            finished = await ledger.finished_at()
            if finished is not None and (await ledger.seen()).ended:
                stage.say(f"done already, at {finished:%Y-%m-%d %H:%M:%S} UTC (--again starts anew); proving it again")
            else:
                await _perform(hold, ledger, plan, (url, space), seed, stage, lock)
            stage.say(
                f"proving: reading the log back, counting {plan.files:,} {'file' if plan.files == 1 else 'files'} again"
            )
            proof = await prove(ledger, plan, progress=lambda done: stage.progress(done, plan.files, "recounting"))
            figure = await perform(hold, ledger, proof.totals, (url, space), stage, lock)
            proof = proof._replace(figures=(*proof.figures, figure))
            stage.say(f"kept in {url}: holdfast -s {shlex.quote(str(store))} session show {ledger.work.id}")
            return proof


async def _ledger(hold: Holdfast, root: bytes, store: Path, *, again: bool, stage: Screen) -> Ledger:
    found = await ledgers.find(hold, root)
    if found is not None and again:
        await ledgers.remove(hold, found)
        found = None
    if found is not None:
        return found
    stage.say(f"listing the files of {spell(root)}")
    listing = await asyncio.to_thread(list_files, root, store=store)
    return await ledgers.begin(hold, root, listing)


async def _perform(
    hold: Holdfast, ledger: Ledger, plan: Plan, arguments: tuple[str, str], seed: int, stage: Screen, lock: int
) -> None:
    done = (await ledger.totals()).files
    size = f"{plan.files:,} {'file' if plan.files == 1 else 'files'}, {plan.bytes / 2**20:,.1f} MiB"
    if done:
        stage.say(f"going on with {plan.root}: {done:,} of {size} are done; seed {seed}")
    else:
        stage.say(f"working through {plan.root}: {size}; seed {seed}")
        if said := left_out(plan):
            stage.say(said)
    conductor = Conductor(
        hold,
        ledger,
        files=plan.files,
        arguments=(*arguments, ledger.work.id),
        random=random.Random(seed),
        screen=stage,
        lock=lock,
    )
    await conductor.run()

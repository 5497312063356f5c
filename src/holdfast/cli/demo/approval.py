"""The second act: a workflow that stops for an approval, is killed while it waits, and finishes after the answer.

The question is asked on the terminal. Where nobody answers in time it is answered by its timeout, which any process
fires that sees it; so the act ends also where nobody is there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from typing import NamedTuple

from holdfast import Holdfast, Interaction, Run, Session
from holdfast.cli.demo.child import Child
from holdfast.cli.demo.count import Totals
from holdfast.cli.demo.ledger import APP, Ledger
from holdfast.cli.demo.proof import Figure
from holdfast.cli.demo.publisher import NODES, RUN, text_of
from holdfast.cli.demo.screen import Screen

TERMINAL_S = 20.0
"""How long a person at the terminal has to answer."""

NOBODY_S = 1.0
"""How long is waited where there is no terminal."""

YES, NO = {"", "y", "yes"}, {"n", "no"}


class Act(NamedTuple):
    """What the second act plays with."""

    hold: Holdfast
    run: Run
    session: Session
    arguments: tuple[str, ...]
    screen: Screen
    lock: int


async def perform(
    hold: Holdfast, ledger: Ledger, totals: Totals, place: tuple[str, str], screen: Screen, lock: int
) -> Figure:
    """Play it, or what is left of it, and prove what it was to show."""
    session = await hold.sessions.open(ledger.release_id, app=APP, mode="release", task="publish the figures")
    run = await session.runs.start("release", id=RUN, nodes=NODES, input=text_of(totals), on_exists="return")
    timeout_s = TERMINAL_S if sys.stdin.isatty() else NOBODY_S
    act = Act(hold, run, session, (*place, session.id, str(timeout_s)), screen, lock)
    if run.status.is_open:
        screen.say("second act: a workflow asks before it publishes, and dies while it waits")
        await _play(act)
    return await prove(act)


async def _play(act: Act) -> None:
    first = await Child.start("publisher", *act.arguments, holding=act.lock)
    try:
        await first.is_at_work()
        question = (await act.run.refresh()).interactions.current
        if await first.kill() and question is not None:
            act.screen.say(f"publisher {first.pid} has asked, and was killed with SIGKILL while it waits")
            await act.session.log("killed", {"pid": first.pid, "question": question.id})
    finally:
        await first.dispose()
    if question is not None:
        await _answered(act, question)
    second = await Child.start("publisher", *act.arguments, holding=act.lock)
    try:
        await second.ended()
    finally:
        await second.dispose()
    await act.run.refresh()


async def _answered(act: Act, question: Interaction) -> None:
    """Wait until somebody has answered: at the terminal, by `holdfast inbox answer`, or the clock."""
    waiting = asyncio.create_task(question.wait())
    if not sys.stdin.isatty():
        answer = await waiting
        act.screen.say(f"nobody is at a terminal: {answer.decision} by its timeout; starting the publisher again")
        return
    act.screen.say(f"{question.prompt} [Y/n]  (yes, if nobody answers within {TERMINAL_S:g} s)")
    asking = asyncio.create_task(_typed())
    try:
        await asyncio.wait({waiting, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            decision = "approved" if asking.result() else "rejected"
            await act.hold.interactions.answer(question.id, decision, by=os.environ.get("USER") or "you")
        answer = await waiting
    finally:
        asking.cancel()
        waiting.cancel()
    act.screen.say(f"{answer.decision}; starting the publisher again")


async def _typed() -> bool:
    """What a person types, as soon as it is a yes or a no; the terminal is read without a thread that would stay."""
    loop, handle = asyncio.get_running_loop(), sys.stdin.fileno()
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop.add_reader(handle, lambda: lines.put_nowait(os.read(handle, 1024).decode(errors="replace")))
    try:
        while True:
            word = (await lines.get()).strip().lower()
            if word in YES | NO:
                return word in YES
            print("Please type y or n: ", end="", flush=True)
    finally:
        loop.remove_reader(handle)


async def prove(act: Act) -> Figure:
    """The fourth figure: asked once, answered once, done once, whatever was killed in between."""
    run, session = act.run, act.session
    entries = Counter([event.type for event in (await session.events(limit=1000)).items])
    asked = await run.interactions.history()
    published = await session.state.get("published", default="nothing yet")
    done = {"approved": entries["published"], "rejected": entries["held back"]}.get(run.output, 0)
    wrong = []
    if run.status.is_open or len(asked) != 1 or asked[0].answer is None or asked[0].answer.decision != run.output:
        wrong.append(f"the run is {run.status} with {run.output!r} after {len(asked)} questions")
    if (entries["summarised"], done, entries["published"] + entries["held back"]) != (1, 1, 1):
        wrong.append(f"the log tells of {dict(entries)}")
    if published != (run.input if run.output == "approved" else None):
        wrong.append(f"published is {published!r}")
    says = f"asked once, {run.output} once, {'published' if run.output == 'approved' else 'held back'} once"
    killed = f"; killed {_times(entries['killed'])} while it waited"
    return Figure("an approval outlives the process that asked", not wrong, "; ".join(wrong) or says + killed)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

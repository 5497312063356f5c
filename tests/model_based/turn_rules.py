"""What turns and claims do beside the model: each request answered once, finished steps kept, all else or nothing."""

import asyncio
import contextvars
from contextlib import nullcontext

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from holdfast import Busy, LeaseLost, Scope
from tests.model_based.surface_model import ScopeModel

REQUESTS = ("q1", "Ü/2")
ENDS = ("commit", "commit", "commit", "error", "rollback", "superseded")


async def apart(work):
    """Run this as another request would, in a task that holds nothing."""
    return await asyncio.get_running_loop().create_task(work, context=contextvars.Context())


class TurnRules:
    """Rules of the surface machine."""

    @precondition(lambda self: any(map(self.alive, self.lives)))
    @rule(data=st.data())
    def answer(self, data):
        """A repeated request gets its first answer; one that failed finds its finished steps, and nothing else. Several
        in a row, for requests meet themselves again seldom where rules are drawn one by one."""
        session, other = self._handles(data)
        model = self.scope(Scope.session(session.id))
        for _ in range(data.draw(st.integers(2, 5))):
            request, end = data.draw(st.sampled_from(REQUESTS)), data.draw(st.sampled_from(ENDS))
            asked = data.draw(st.lists(st.integers(0, 2), max_size=2))
            steps = data.draw(st.lists(self.transaction_steps, max_size=3))
            output = data.draw(st.integers(0, 9))
            fenced = end == "superseded" and request not in model.answers
            with pytest.raises(LeaseLost) if fenced else nullcontext():
                self.run(self._answer(session, other, model, request, asked=asked, steps=steps, end=end, output=output))
            session, other = other, session
        self.compare_session(self.run(self.hold.sessions.get(session.id)), model, data)

    async def _answer(self, session, other, model, request, *, asked, steps, end, output):
        try:
            async with session.turn(request_id=request) as turn:
                assert turn.replayed == (request in model.answers)
                if turn.replayed:
                    assert turn.output == model.answers[request]
                    return
                model.commit()  # the claim
                for number in asked:
                    await self._finish_step(turn, model, request, number)
                staged, overlay, written = [], model.all("state", "", self.now_us), set()
                for what, key, value in steps:
                    staged += await self._step(turn, what, key, value, overlay, set(), written)
                turn.output = output
                if end == "superseded":
                    await apart(self._supersede(other, model))
                if end == "rollback":
                    turn.rollback()
                if end == "error":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert end == "error"
        if end == "commit":
            assert turn.version(Scope.session(session.id)) == model.commit(*staged)
            model.answer(request, output)
        else:
            model.commit()  # it was given back

    async def _finish_step(self, turn, model: ScopeModel, request, number):
        calls = []
        result = await turn.step(f"step {number}", lambda n: calls.append(n) or [n, model.seq], number)
        finished = model.steps.get((request, number))
        assert (calls, result) == ([], finished) if finished else ([number], [number, model.seq])
        if finished is None:
            model.steps[request, number] = result
            model.commit()

    async def _supersede(self, other, model: ScopeModel):
        request = f"newer {model.seq}"
        async with other.turn(request_id=request, busy="supersede") as turn:
            assert not turn.replayed
            model.commit()
            await turn.state.set("a", "newer")
        model.commit(("set", ("state", "", "a"), "newer"))
        model.answer(request, None)

    @precondition(lambda self: any(map(self.alive, self.lives)))
    @rule(data=st.data(), value=st.integers(0, 9), superseded=st.booleans())
    def claim(self, data, value, superseded):
        """Others are refused meanwhile, or take it away; then nothing more is written."""
        session, other = self._handles(data)
        model = self.scope(Scope.session(session.id))
        with pytest.raises(LeaseLost) if superseded else nullcontext():
            self.run(self._claim(session, other, model, value, superseded=superseded))
        self.compare_session(self.run(self.hold.sessions.get(session.id)), model, data)

    async def _claim(self, session, other, model: ScopeModel, value, *, superseded):
        async with session.claim() as claim:
            assert claim.token == model.commit()
            with pytest.raises(Busy):
                await apart(self._take(other, model, busy="reject"))
            assert await session.state.set("a", value) == model.commit(("set", ("state", "", "a"), value))
            if superseded:
                await apart(self._take(other, model, busy="supersede"))
                with pytest.raises(LeaseLost):
                    await session.runtime.set("a", "too late")
        model.commit()

    async def _take(self, other, model: ScopeModel, *, busy):
        async with other.claim(busy=busy):
            model.commit()
        model.commit()

    def _handles(self, data):
        """A session, as two processes have it, where there are two."""
        id = data.draw(st.sampled_from([id for id in self.lives if self.alive(id)]))
        return [self.run(hold.sessions.get(id)) for hold in (self.holds[0], self.holds[-1])]

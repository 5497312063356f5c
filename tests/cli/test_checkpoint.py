"""`holdfast checkpoint create|list|diff|restore|rm` and `session fork`."""

import asyncio
import json

from holdfast import Holdfast
from tests.cli.program import Ended, invoke


def call(store: str, *args: str) -> Ended:
    return invoke("-s", store, *args)


def taken(store: str, scope: str, *more: str) -> str:
    ended = call(store, "checkpoint", "create", scope, *more)
    assert ended.code == 0, ended.err
    return str(ended.rows[0]["id"])


def put(store: str, scope: str, key: str, value: str) -> None:
    assert call(store, "state", "set", scope, key, "--", value).code == 0


def test_a_session_goes_back_and_forth(store: str) -> None:
    first = taken(store, "session/trip", "--label", "before paying")
    put(store, "session/trip", "city", '"Oslo"')
    patch = call(store, "checkpoint", "diff", first, "-o", "json")
    assert json.loads(patch.out) == [{"op": "replace", "path": "/state/city", "value": "Oslo"}]
    restored = call(store, "checkpoint", "restore", first)
    undo = restored.rows[0]["before"]
    assert restored.rows == [{"restored": first, "scope": "session/trip", "before": undo}]
    assert f"to undo it: holdfast -s {store} checkpoint restore {undo}\n" in restored.err, "as it is to be typed"
    assert call(store, "state", "get", "session/trip", "city").rows == ["Kyoto"]
    assert call(store, "checkpoint", "restore", undo).code == 0
    assert call(store, "state", "get", "session/trip", "city").rows == ["Oslo"]
    listed = call(store, "checkpoint", "list", "session/trip").rows
    assert [row["label"] for row in listed] == ["before restore", "before restore", "before paying"]
    assert listed[-1]["scope"] == "session/trip"
    assert call(store, "checkpoint", "diff", first, undo).rows == json.loads(patch.out)


def test_so_does_any_other_scope(store: str) -> None:
    put(store, "user/bo", "n", "1")
    first = taken(store, "user/bo")
    put(store, "user/bo", "n", "2")
    call(store, "checkpoint", "restore", first)
    assert call(store, "state", "get", "user/bo").rows == [{"n": 1}]
    assert call(store, "checkpoint", "create", "user/nobody").code == 3


def test_the_users_state_comes_back_when_asked_for(store: str) -> None:
    put(store, "user/ada", "n", "1")
    first = taken(store, "session/trip")
    put(store, "user/ada", "n", "2")
    call(store, "checkpoint", "restore", first)
    assert call(store, "state", "get", "user/ada", "n").rows == [2]
    call(store, "checkpoint", "restore", first, "--user")
    assert call(store, "state", "get", "user/ada", "n").rows == [1]


def test_one_that_is_held_is_left_unless_forced(store: str) -> None:
    first = taken(store, "session/trip")

    async def hold_it() -> tuple[int, int]:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            s = await hold.sessions.get("trip")
            assert s is not None
            claim = s.claim(worker="w1")
            await claim.__aenter__()
            refused = await asyncio.to_thread(call, store, "checkpoint", "restore", first)
            forced = await asyncio.to_thread(call, store, "checkpoint", "restore", first, "--force")
            return refused.code, forced.code

    assert asyncio.run(hold_it()) == (4, 0)


def test_those_that_are_there_are_dropped(store: str) -> None:
    first, second = taken(store, "session/trip"), taken(store, "session/trip")
    ended = call(store, "checkpoint", "rm", first, "nothing")
    assert (ended.code, ended.rows) == (3, [{"id": first, "dropped": True}, {"id": "nothing", "dropped": False}])
    assert "holdfast checkpoint list" in ended.err
    assert [row["id"] for row in call(store, "checkpoint", "list", "session/trip").rows] == [second]
    assert call(store, "checkpoint", "restore", first).code == 3


def test_a_fork_has_the_past_and_goes_its_own_way(store: str) -> None:
    first = taken(store, "session/trip")
    put(store, "session/trip", "city", '"Oslo"')
    forked = call(store, "session", "fork", "trip", "--at", first, "--id", "other").rows[0]
    assert (forked["id"], forked["user"], forked["metadata"]["forked_from"]["checkpoint"]) == ("other", "ada", first)
    assert call(store, "state", "get", "session/other", "city").rows == ["Kyoto"]
    assert call(store, "session", "fork", "trip", "--id", "other").code == 4
    assert call(store, "session", "fork", "nobody").code == 3
    newest = call(store, "session", "fork", "trip").rows[0]["id"]
    assert call(store, "state", "get", f"session/{newest}", "city").rows == ["Oslo"]

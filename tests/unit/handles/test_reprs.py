"""What handles are called where somebody prints them."""

from holdfast import Holdfast, Scope


async def test_every_handle_says_what_it_is_of() -> None:
    """Short, without an address in memory, and without anything that is stored but names and ids."""
    async with Holdfast.open("memory://", space="work", background=False) as hold:
        trip = await hold.sessions.create(id="trip", user="ada")
        await trip.variables.set("token", "hidden")
        run = await trip.runs.start("book", id="b1", nodes=["pay"])
        asked = await run.ask("Pay 900 €?", node=None, assignees=["bo"])
        store = "<Store 'memory://' space='work'>"
        told = {
            hold: f"<Holdfast over {store}>",
            hold.as_principal(user="ada"): f"<Principal 'ada' of {store}>",
            hold.sessions: f"<Sessions of {store}>",
            hold.runs: f"<Runs of {store}>",
            hold.interactions: f"<Interactions of {store}>",
            trip: f"<Session 'trip' active version={trip.version}>",
            trip.runs: "<SessionRuns of session/trip>",
            trip.state: "<State of session/trip namespace=''>",
            trip.messages: "<Messages of session/trip>",
            trip.runtime: "<Runtime of session/trip>",
            trip.variables: "<Variables of session/trip at level session>",
            trip.interactions: "<SessionInteractions of session/trip>",
            trip.area("mine"): "<Area 'mine' of session/trip>",
            trip.claim(worker="w1"): "<Claim of session/trip worker='w1'>",
            trip.turn(request_id="r-1"): "<Turn 'r-1' of session/trip>",
            run: f"<Run 'b1' of 'book' pending version={run.version}>",
            run.interactions: "<RunInteractions of run 'b1' in session/trip: 1 pending>",
            run.claim(worker="w1"): "<RunClaim of run 'b1' worker='w1'>",
            run.node("pay"): "<RunNode 'pay' of run 'b1'>",
            run.variables: "<Variables of session/trip at level run>",
            asked: f"<Interaction {asked.id!r} approval of run='b1' pending>",
            hold.state(Scope.user("ada"), "prefs"): "<State of user/ada namespace='prefs'>",
        }
        assert {repr(handle): said for handle, said in told.items()} == {said: said for said in told.values()}


async def test_a_question_tells_what_silence_means() -> None:
    """Whoever answers sees what happens if nobody does: nothing, where it never times out."""
    async with Holdfast.open("memory://", background=False) as hold:
        run = await hold.runs.start("book", nodes=["pay"])
        ever = await run.ask("Ever?")
        assert (ever.on_timeout, ever.escalate_to) == (None, ())
        soon = await run.ask("Soon?", timeout="1h")
        assert (soon.on_timeout, soon.escalate_to) == ("reject", ())
        next_ = await run.ask("Next?", node="pay", timeout="1h", on_timeout="escalate", escalate_to=["cy"])
        assert (next_.on_timeout, next_.escalate_to) == ("escalate", ("cy",))
        assert "node='pay'" in repr(next_)

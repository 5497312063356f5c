"""What to do about an error at a command line, where the error's own remedy speaks of calls.

A remedy of an occurrence stands as it is unless it speaks Python; then what is said here of it, or of its class, stands
instead. Tests see that whatever is said here still stands for something, and that no class is left out.
"""

from __future__ import annotations

import re

from holdfast import errors
from holdfast.errors import HoldfastError

MOVES = "make one of the moves that the message names"
KEYS = (
    "HOLDFAST_KEYS to the keys of those ids, as id=BASE64 with commas between them, and HOLDFAST_KEY_ACTIVE to the id "
    "of the one to encrypt with"
)
GO_ON = "See what is there now with `holdfast session show`, and go on from its version or from now."

OF_CLASSES: dict[type[HoldfastError], str] = {
    errors.InvalidValue: "See the command's --help.",
    errors.TypeMismatch: "Give a value of that type, or another --type.",
    errors.TooLarge: "Split it into several keys.",
    errors.WrongKey: f"Set {KEYS}.",
    errors.UseTransaction: "Run the command by itself.",
    errors.Closed: "Run the command again.",
    errors.Disabled: "Turn it on in the configuration (--config), or do without it.",
    errors.TemplateError: "Correct the template as the message says.",
    errors.MissingVariable: "Set it with `holdfast var set`, or give the place a default.",
    errors.NotFound: "Check the id with `holdfast session list`; it may have been deleted.",
    errors.AlreadyExists: "Choose another id.",
    errors.BudgetExceeded: "Raise it: `holdfast session resume ID --iterations N`, once that ended the session.",
    errors.InvalidTransition: f"`holdfast session show` or `holdfast run show` tells where it is; {MOVES}.",
    errors.AlreadyAnswered: "`holdfast inbox show ID` shows the answer that it has.",
    errors.NotAssignee: "Say who answers: --by one of its assignees; or `holdfast inbox reassign ID NAME`.",
    errors.InteractionExpired: "`holdfast inbox show ID` shows what counted as the answer.",
    errors.InteractionCancelled: "`holdfast inbox list` shows those that wait.",
    errors.Conflict: "Read it again with `holdfast state get` and repeat.",
    errors.Busy: "Try again later: `holdfast session show` or `holdfast run show` tells who holds it.",
    errors.LeaseLost: "Somebody else has it now: `holdfast session show` or `holdfast run show` tells who.",
    errors.Gone: "See what exists now with `holdfast session list`.",
    errors.Compacted: GO_ON,
    errors.Diverged: GO_ON,
}
"""Of every class whose remedy speaks of calls."""

OF_OPTIONS: dict[str, str] = {
    "after": "Give a version, the cursor of a change as `tail` prints it, beginning, or now.",
    "cursor": "Give what an earlier list of the same order named at its end, in quotes.",
    "kinds": "Name one of those; for several, give --kind more than once.",
}
"""Of an InvalidValue, by what it is about: of options whose values this program prints itself."""

OF_OCCURRENCES: dict[str, str] = {
    "Raise the budget that it used up": "Raise the budget that it used up: `holdfast session resume ID --iterations N` "
    "(--tokens, --cost, --tool-calls).",
    "Refresh the session to see where it is": f"`holdfast session show ID` shows where it is; {MOVES}.",
    "Refresh the run to see where it is": f"`holdfast run show RUN` shows where it is; {MOVES}.",
    "Refresh the run to see how far it is": "`holdfast run nodes RUN` shows how far it is.",
    "Start another run: this one was started": "Start another run: this one was started with runs.resumable off.",
    "Resume it: `await run.resume()`": "Resume it: `holdfast run resume RUN`.",
    "Let the session go on: `s.resume(budget": "Let its session go on: `holdfast session resume ID`, with a higher "
    "budget if it used that up.",
    "Begin another round of what it depends on": "Whoever works on it begins another round of what it depends on.",
    "Wait until the nodes it depends on are done": "Wait until the nodes it depends on are done: "
    "`holdfast run nodes RUN` shows how far they are.",
    "Answer it, `await hold.interactions": "`holdfast run show RUN` shows what it asks: `holdfast inbox answer ID …`, "
    "or withdraw it: `holdfast inbox cancel ID`.",
    "Name one of its nodes, or add it": "`holdfast run nodes RUN` lists its nodes.",
    "A question leaves with its run": "`holdfast inbox list` shows those that wait.",
    "Show what it asks now": "See what it asks now with `holdfast inbox show ID`, and answer that.",
    "`s.checkpoints()` lists those": "Name it by its id, not its label: `holdfast checkpoint list SCOPE` lists them.",
    "A run leaves with its session": "`holdfast run list` shows those there are.",
    "Name the session: `session=`": "Say in which session: --session ID.",
    "Open the store with keys (Holdfast.open": "Set HOLDFAST_KEYS, so that the store is encrypted (`holdfast rekey "
    "--from-plain` for one that is not); or let the secret come from the environment: --env NAME.",
    "To encrypt it, open it with KeyRing": "To encrypt it: `holdfast rekey --from-plain`; after that its keys open it.",
    "Name it in Config.variables.environment": "Name it under variables.environment of the configuration (--config), "
    "in every process that uses it.",
    "Use `hold.variables(Scope.user": "Name the user's scope: `holdfast var list user/NAME`.",
    "Fork it instead": "Fork it instead: `holdfast session fork ID --at CHECKPOINT`.",
    "With Config(changes=ChangesConfig(values": 'With values = "inline" under [changes] of the configuration '
    "(--config) what is written from then on has a past.",
}
"""Of one occurrence, by how its remedy begins, or by what is told apart in it."""

NAMED_BY = "A store is named by the path of a file, such as app.db, or by a URL, such as sqlite:///app.db."

SPEAKS_PYTHON = re.compile(r"\w\(|\bawait\b|`(?:s|tx|run|hold|turn|it)\.|`\w+=`|\w=…|\bConfig\b")


def remedy_of(error: HoldfastError) -> str:
    """What to do about this error at a command line."""
    if error.remedy == errors.STORABLE:
        return "A stored value is JSON: finite numbers, integers of 64 bits."
    about = error.facts.get("path") if isinstance(error, errors.InvalidValue) else None
    if about in OF_OPTIONS:
        return OF_OPTIONS[about]
    if "remedy" in vars(error) or type(error) not in OF_CLASSES:
        own = next((said for part, said in OF_OCCURRENCES.items() if part in error.remedy), error.remedy)
        if not SPEAKS_PYTHON.search(own):
            return own
    if about == "url":
        return NAMED_BY
    if type(error) is errors.NotFound and _other_than_a_session(error):
        return "There is nothing in it; check the kind and the id."
    return next((OF_CLASSES[kind] for kind in type(error).__mro__ if kind in OF_CLASSES), type(error).remedy)


def _other_than_a_session(error: HoldfastError) -> bool:
    return not str(error.facts.get("scope", "session/")).startswith("session/")

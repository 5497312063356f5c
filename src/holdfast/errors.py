"""Every error Holdfast raises.

Each class has a stable `code`, says in `retryable` whether sending the same call again can help, and
carries in `remedy` what to do about it. It also subclasses the builtin that fits, so code that knows
nothing of Holdfast can still catch it. The facts of one occurrence are attributes of the instance
(`error.facts` holds them all) and the remedy is attached as a note, so that a traceback shows it.

After any of these the store is as if the call had not been made, with one exception: `Indeterminate`
says that the call may have taken effect.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import NoneType
from typing import Any, ClassVar


class HoldfastError(Exception):
    """The root of all errors of this library."""

    code: ClassVar[str] = "holdfast"
    retryable: bool = False
    remedy: str = "See the message; if it does not help, please report it as a bug."

    def __init__(
        self, message: str, /, *, remedy: str | None = None, retryable: bool | None = None, **facts: Any
    ) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts
        if remedy is not None:  # a better one for this occurrence than the class has for all
            self.remedy = remedy
        if retryable is not None:
            self.retryable = retryable
        self.add_note(f"[{self.code}] {self.remedy}")

    def __getattr__(self, name: str) -> Any:
        # Facts read as attributes: error.scope, error.expected, error.path, …
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute or fact {name!r}")


def shown(value: object, length: int = 80) -> str:
    """A value as an error message shows it: short and made in bounded time, whatever the value is."""
    if isinstance(value, str):
        text = repr(value[:length])
        return text if len(value) <= length else text[:-1] + "…" + text[-1]
    if isinstance(value, (bool, float, timedelta, datetime, NoneType)):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 256 else "an integer of more than 256 bits"
    if isinstance(value, type):
        return value.__name__
    return articled(type(value).__name__)


def articled(noun: str) -> str:
    """A noun after its article: "an int", "a set"."""
    return f"an {noun}" if noun.lower().startswith(("a", "e", "i", "o")) else f"a {noun}"


# --- what the caller asked ------------------------------------------------------------------------


class InvalidId(HoldfastError, ValueError):
    """An id, name or key is empty, too long, not NFC text, or holds control characters."""

    code = "invalid_id"
    remedy = "Use 1 to 256 bytes of NFC text without control characters; a scope is written kind/id."


class InvalidValue(HoldfastError, ValueError):
    """An argument is not what it may be, or a value could not be stored without changing it; `path` says where."""

    code = "invalid_value"
    remedy = "Correct what the message names."


STORABLE = (
    "What is stored are JSON types (str keys, finite numbers, integers of 64 bits), or a dataclass, msgspec Struct or "
    "pydantic model whose fields declare the richer type."
)
"""What to do about a value that cannot be stored."""


def unstorable(message: str, path: str) -> InvalidValue:
    """The InvalidValue that says that a value, or the part of it at `path`, could not be stored without changing it."""
    return InvalidValue(message, remedy=STORABLE, path=path)


class TypeMismatch(HoldfastError, TypeError):
    """A stored value does not have the type that was asked for."""

    code = "type_mismatch"
    remedy = "Read it with the type it was written with, or without a type to see what is stored."


class TooLarge(HoldfastError, ValueError):
    """A value, key or commit is over its limit; `size`, `limit` and `what` say by how much."""

    code = "too_large"
    remedy = "Split it into several keys or commits, or raise the limit in Config where the backend allows it."


class Unsupported(HoldfastError, NotImplementedError):
    """The backend, or what was configured, does not keep the promise this call needs: it refuses, and weakens none."""

    code = "unsupported"
    remedy = "Use a backend whose traits include it (see docs/explanation/backends.md), or split the call."


class UseTransaction(HoldfastError, RuntimeError):
    """A scope was written past an open transaction on it, or a transaction was used outside its event loop."""

    code = "use_transaction"
    remedy = "Inside `async with s.transaction() as tx`, write through `tx`."


class Closed(HoldfastError, RuntimeError):
    """The store, transaction or process this handle belonged to is over."""

    code = "closed"
    remedy = "Open the store (or a new transaction) again and fetch the handle from it."


class MissingExtra(HoldfastError, ImportError):
    """An optional dependency is not installed; `extra` names what brings it."""

    code = "missing_extra"
    remedy = "Install the extra that the message names."


class Disabled(HoldfastError, RuntimeError):
    """The configuration turns off what was asked for; `switch` names its field."""

    code = "disabled"
    remedy = "Turn it on in the Config that the store is opened with, or do without it."


class TemplateError(HoldfastError, ValueError):
    """A text template cannot be read or filled in; `line` and `column` say where it is wrong, if it is."""

    code = "template_error"
    remedy = "Correct the template as the message says; docs/reference/dialects.md tells what each syntax has."


class MissingVariable(HoldfastError, LookupError):
    """A template needs a value that is not set, or not there in what is set; `name` says which."""

    code = "missing_variable"
    remedy = 'Set it, give the place a default, or resolve with missing="keep" or "empty".'


# --- what the store holds -------------------------------------------------------------------------


class NotFound(HoldfastError, LookupError):
    """The session, or what was asked for in it, does not exist (any more)."""

    code = "not_found"
    remedy = "Check the id; it may have been deleted. `sessions.open` creates a session that is missing."


class AlreadyExists(HoldfastError, ValueError):
    """Something of that id exists already, or belongs to somebody else."""

    code = "already_exists"
    remedy = "Choose another id. Outside a transaction, `sessions.open` gets the one that is there or creates it."


class BudgetExceeded(HoldfastError, RuntimeError):
    """A budget of the session does not cover what was asked for; `budget`, `limit`, `used` and `asked` say which."""

    code = "budget_exceeded"
    remedy = "Raise it: `s.update(budget=…)` while the session is open, `s.resume(budget=…)` once that ended it."


class InvalidTransition(HoldfastError, RuntimeError):
    """A session, run or node cannot go from its status to the one asked for; `status`, `to` and `allowed` say which."""

    code = "invalid_transition"
    remedy = "Make one of the moves that the message names."


class Conflict(HoldfastError, RuntimeError):
    """Somebody else wrote what this call depends on; nothing was written.

    `scope`, `what`, `key`, `expected` and `found` say what was seen.
    """

    code = "conflict"
    retryable = True
    remedy = "Read again and repeat; `mutate` and `transact` do that for you."


class LimitReached(HoldfastError, RuntimeError):
    """There are as many of something as there may be at once; `limit` says how many."""

    code = "limit_reached"
    retryable = True
    remedy = "Wait until some are done, or raise the limit that the message names."


class AlreadyAnswered(HoldfastError, RuntimeError):
    """The question has an answer, and this is another one; `answer` is the one it has."""

    code = "already_answered"
    remedy = "Take the answer that it has. The same answer again returns that, and changes nothing."


class NotAssignee(HoldfastError, PermissionError):
    """The question is for others to answer; `assignees` says for whom."""

    code = "not_assignee"
    remedy = "Say who answers: `by=` one of its assignees. Or give it to somebody else: `hold.interactions.reassign`."


class InteractionExpired(HoldfastError, TimeoutError):
    """The question could be answered until a time that is past; what then counts as the answer has been recorded."""

    code = "interaction_expired"
    remedy = "See what counted as the answer: `await hold.interactions.get(id)`. Ask again with a longer timeout."


class InteractionCancelled(HoldfastError, RuntimeError):
    """The question was withdrawn: it was cancelled, or its run ended, or its session was deleted."""

    code = "interaction_cancelled"
    remedy = "Ask another one under another `key`, if there is still something to decide."


class Busy(HoldfastError, BlockingIOError):
    """Somebody else holds the session or run: at once with "reject", after `wait` with "queue".

    `worker` of a claim or `request` of a turn, and `since`, say who it is.
    """

    code = "busy"
    retryable = True
    remedy = 'Try again later, or wait longer (wait=…), or take it away from who holds it (busy="supersede").'


class LeaseLost(HoldfastError, RuntimeError):
    """A session or run that was held is not held any more: it was superseded, or could not be renewed for its ttl.

    What was written before it was lost stands; nothing was written after it, and nothing of a turn but finished steps.
    """

    code = "lease_lost"
    remedy = "Stop this piece of work: somebody else does it now. Who sends a turn's request again gets its answer."


class Gone(HoldfastError, LookupError):
    """The scope a cursor points into was dropped and its last trace swept."""

    code = "gone"
    remedy = "Start again from a snapshot of what exists now."


class Compacted(HoldfastError, LookupError):
    """The log was trimmed past that position; `floor` is the oldest record kept."""

    code = "compacted"
    remedy = "Take a snapshot and follow from its version, or keep more of the log."


class Diverged(HoldfastError, RuntimeError):
    """History was rewritten: a restored backup, or a failover that lost acknowledged commits."""

    code = "diverged"
    remedy = "Drop what was derived from the old history, take a snapshot and follow from there."


# --- what the store is ----------------------------------------------------------------------------


class Unavailable(HoldfastError, ConnectionError):
    """The store could not be reached or did not execute the call. It surely was not applied."""

    code = "unavailable"
    retryable = True
    remedy = "Try again later; `holdfast doctor` says what is wrong."


class Indeterminate(HoldfastError, ConnectionError):
    """The reply was lost: the call may have been applied. Repeating it blindly may apply it twice."""

    code = "indeterminate"
    remedy = "Read what is stored before you repeat the call."


class StoreLocked(HoldfastError, TimeoutError):
    """Another process held the store's write lock for longer than the time allowed."""

    code = "store_locked"
    retryable = True
    remedy = "Find the process that holds the file (a backup, a database browser, a stopped process) and end it."


class ReadOnlyStore(HoldfastError, PermissionError):
    """The store's file or folder cannot be written."""

    code = "read_only_store"
    remedy = "Make the file and its folder writable for this user, or open a copy."


class StoreFull(HoldfastError, OSError):
    """No space is left on the device. What was acknowledged is safe; reads and deletes go on."""

    code = "store_full"
    retryable = True
    remedy = "Free disk space, or delete sessions and run a sweep."


class UnsafeFilesystem(HoldfastError, OSError):
    """The file system cannot keep what the store needs (locks and shared memory), so it is refused."""

    code = "unsafe_filesystem"
    remedy = "Put the file on a local disk, or use a server backend to share it between machines."


class StoreTooNew(HoldfastError, RuntimeError):
    """The store was written by a newer version of Holdfast; opening it here could damage it."""

    code = "store_too_new"
    remedy = "Upgrade Holdfast to at least the version the message names."


class WrongKey(HoldfastError, PermissionError):
    """The store is encrypted by a key that the ring does not have, or has another one under that id; `key_ids` says
    which ones it needs. Or it holds what is not encrypted, which a strict ring refuses."""

    code = "wrong_key"
    remedy = (
        "Open it with a KeyRing that has the keys of those ids: "
        "Holdfast.open(url, keys=KeyRing({id: key, …}, active=id))."
    )


class Corrupt(HoldfastError, RuntimeError):
    """What was read cannot be what was written: a damaged file, a gap in a log, an unknown format."""

    code = "corrupt"
    remedy = "Stop writing, keep the file, and restore a backup; `holdfast doctor` shows the extent."

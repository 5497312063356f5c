"""What the public surface should do, as dicts and lists: one `ScopeModel` for each scope, and the sessions on top."""

from dataclasses import dataclass, field
from typing import Any

from holdfast.kernel.commit import stamp

Key = tuple[str, str, str]
"""area, namespace, key"""


@dataclass
class Value:
    value: Any
    version: int
    expires_us: int | None = None


@dataclass
class ScopeModel:
    """One scope. `changes` is its stream from the beginning of time: (seq, kind, op, key, value, namespace)."""

    seq: int = 0
    appended: int = 0
    """By the last commit."""
    values: dict[Key, Value] = field(default_factory=dict)
    messages: list[tuple[str, str, dict]] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)
    record: dict[str, Any] | None = None
    changes: list[tuple] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    steps: dict[tuple[str, int], Any] = field(default_factory=dict)
    """Finished steps of requests that are not answered."""
    born: int = 0
    """The number of changes before the present life."""

    # --- reading ----------------------------------------------------------------------------------

    def get(self, at: Key, now_us: int) -> Value | None:
        found = self.values.get(at)
        if found is None or (found.expires_us is not None and found.expires_us <= now_us):
            return None
        return found

    def all(self, area: str, namespace: str, now_us: int) -> dict[str, Any]:
        keys = sorted(key for a, n, key in self.values if (a, n) == (area, namespace))
        found = {key: self.get((area, namespace, key), now_us) for key in keys}
        return {key: value.value for key, value in found.items() if value is not None}

    def history(self, namespace: str, key: str) -> list[tuple[Any, int, bool]]:
        """Newest first: (value, version, deleted)."""
        past: list[tuple[Any, int, bool]] = []
        known = False
        for seq, kind, op, name, value, ns in self.changes[self.born :]:
            if kind != "state" or ns != namespace:
                continue
            if op == "clear":
                if known:
                    past.append((None, seq, True))
                known = False
            elif name == key:
                past.append((value, seq, op == "delete"))
                known = op == "set"
        latest = {seq: (value, seq, deleted) for value, seq, deleted in past}  # the last of several in one commit
        return [latest[seq] for seq in sorted(latest, reverse=True)]

    # --- writing: each call of `commit` is one commit -----------------------------------------------

    def commit(self, *steps) -> int:
        """Apply these steps as one commit; returns its seq."""
        self.seq += 1
        self.appended = 0
        for name, *arguments in steps:
            getattr(self, f"_{name}")(*arguments)
        return self.seq

    def answer(self, request: str, output: Any) -> None:
        """Part of the last commit: the answer of a request, and the end of its steps."""
        self.answers[request] = output
        self.steps = {at: result for at, result in self.steps.items() if at[0] != request}

    def _note(self, kind, op, key=None, value=None, namespace=""):
        self.changes.append((self.seq, kind, op, key, value, namespace))

    def _append(self, kind, value):
        self._note(kind, "append", stamp(self.seq, self.appended), value)
        self.appended += 1

    def _set(self, at: Key, value, expires_us=None):
        self.values[at] = Value(value, self.seq, expires_us)
        self._note(at[0], "set", at[2], value, at[1])

    def _delete(self, at: Key):
        del self.values[at]
        self._note(at[0], "delete", at[2], None, at[1])

    def _clear(self, area: str, namespace: str):
        self.values = {at: value for at, value in self.values.items() if at[:2] != (area, namespace)}
        self._note(area, "clear", None, None, namespace)

    def _message(self, role, content, metadata):
        self.messages.append((role, content, metadata))
        self._append("message", content)

    def _event(self, kind, data):
        self.events.append((kind, data))
        self._append("event", data)

    def _put_record(self, record):
        self.record = {**record, "version": self.seq}
        self._note("session", "set", record["id"], record["metadata"])

    def _drop(self, id):
        self.values.clear()
        self.messages.clear()
        self.events.clear()
        self.answers.clear()
        self.steps.clear()
        self.record = None
        self._note("session", "delete", id)
        self.born = len(self.changes)

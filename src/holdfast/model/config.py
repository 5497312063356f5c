"""The configuration: frozen, every field with its unit and default. Each one is tested to change behaviour."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.errors import InvalidValue, shown
from holdfast.model import settings
from holdfast.model.budget import DEFAULT, Budget
from holdfast.model.duration import Duration, to_seconds

PERSISTENCE = ("immediate", "batched", "checkpoint")
"""How runtime state may be kept."""

COMPRESSION = ("auto", "off")
"""Whether values may be compressed."""

VALUES = ("inline", "keys")
"""What the log may tell of what is written."""

SYNTAXES = ("simple", "mustache", "handlebars", "jinja")
"""The syntaxes of text templates."""
CONCURRENT_MAX = 64
"""Open questions of one run at most: the commit that ends it withdraws all of them."""

_KIB = 1024
_MIB = 1024 * 1024


class RetentionConfig(Struct, frozen=True, kw_only=True):
    """Sessions that have ended.

    age     how long a session is kept after its end, before a sweep deletes it (30 d; None: for good)
    """

    age: Duration | None = "30d"


class SweepConfig(Struct, frozen=True, kw_only=True):
    """Sweeps.

    every       how often the sweeper of a store that was opened with `background` looks, a half more or less (60 s)
    budget      rows that one step of a sweep removes, and sessions that it ends (10,000)
    """

    every: Duration = "60s"
    budget: int = 10_000


class Limits(Struct, frozen=True, kw_only=True):
    """What one commit may hold. The defaults fit the weakest backend; the backend's own traits bound them too.

    value_bytes_max     bytes of one encoded value (256 KiB)
    operations_max      cells one commit writes or deletes (90)
    commit_bytes_max    bytes of one commit altogether, cells and log (3 MiB)
    """

    value_bytes_max: int = 256 * _KIB
    operations_max: int = 90
    commit_bytes_max: int = 3 * _MIB


class StateConfig(Struct, frozen=True, kw_only=True):
    """Scoped state.

    value_bytes_max     bytes of one encoded value of state, temp or runtime (256 KiB)
    temp_ttl            how long a temporary value lives after it was last set (1 h)
    compression         "auto": a value of 4 KiB or more is compressed where that saves an eighth at least. "off":
                        never. What is compressed already can be read either way
    """

    value_bytes_max: int = 256 * _KIB
    temp_ttl: Duration = "1h"
    compression: Literal["auto", "off"] = "auto"


class SessionConfig(Struct, frozen=True, kw_only=True):
    """Sessions.

    default_ttl         how long a session lives that is created without a ttl (None: as long as it is wanted)
    extend_on_access    whether the ttl counts from the last access instead of from the creation (no)
    idle_timeout        how long a session lives without access, whatever its ttl (None: that ends none)
    max_per_user        open sessions of one user: creating another ends the oldest beyond so many as cancelled (None:
                        any number)
    live_max            open sessions altogether: creating another, or a sweep, ends those beyond so many as cancelled
                        that were least recently active, and none that a turn or claim holds (None: any number)
    """

    default_ttl: Duration | None = None
    extend_on_access: bool = False
    idle_timeout: Duration | None = None
    max_per_user: int | None = None
    live_max: int | None = None


class MessagesConfig(Struct, frozen=True, kw_only=True):
    """Messages.

    value_bytes_max     bytes of one encoded message (256 KiB)
    """

    value_bytes_max: int = 256 * _KIB


class TurnsConfig(Struct, frozen=True, kw_only=True):
    """Turns.

    answers_ttl     how long the answer of a request is kept, and finished steps of one that never ended, so that the
                    same request is not answered twice (30 d; None: as long as the session)
    """

    answers_ttl: Duration | None = "30d"


class RuntimeConfig(Struct, frozen=True, kw_only=True):
    """Runtime state: what a session shows while it runs.

    persistence         "immediate": a write is durable on return.
                        "batched": it is visible in this process at once, and committed with `batch_size` writes, after
                        `flush_every`, or with whatever else the session commits, whichever is first.
                        "checkpoint": it is visible in this process at once, and committed every `checkpoint_every`
                        writes, and by `flush()`. What was not committed is lost if the process dies
    batch_size          writes of one session that a batch has at most (50)
    flush_every         how long a batch waits at most (1 s)
    checkpoint_every    writes of one session between two checkpoints (100)
    streaming           whether the change stream tells of runtime state (True)
    compression         as that of state, for values of runtime state ("auto")
    """

    persistence: Literal["immediate", "batched", "checkpoint"] = "immediate"
    batch_size: int = 50
    flush_every: Duration = "1s"
    checkpoint_every: int = 100
    streaming: bool = True
    compression: Literal["auto", "off"] = "auto"


class RunsConfig(Struct, frozen=True, kw_only=True):
    """Runs. What they were started with holds for their whole lives.

    track_nodes     whether what the nodes of a run do is kept (True); without it that is told to who follows, and kept
                    nowhere: steps are remembered all the same
    keep_outputs    whether the inputs and outputs of nodes are kept (True)
    resumable       whether a run can go on after a pause or a crash (True)
    history_max     runs of one session that have ended are kept up to so many (None: any number)
    finished_ttl    and so long after they ended (24 h; None: as long as their session)
    """

    track_nodes: bool = True
    keep_outputs: bool = True
    resumable: bool = True
    history_max: int | None = None
    finished_ttl: Duration | None = "24h"


class InteractionsConfig(Struct, frozen=True, kw_only=True):
    """Questions to people.

    enabled         whether runs may ask (True)
    default_timeout how long a question may be answered that was asked without a timeout (None: as long as its run)
    concurrent_max  questions of one run that are open at once, up to 64 (32)
    keep_history    whether questions are kept after their run has ended, as long as the run (True)
    """

    enabled: bool = True
    default_timeout: Duration | None = None
    concurrent_max: int = 32
    keep_history: bool = True


class ChangesConfig(Struct, frozen=True, kw_only=True):
    """The change stream, and so the reach of history. Without both bounds everything is kept.

    retention_age       a sweep keeps records younger than this (30 d; None: age keeps nothing)
    retention_count     and the newest so many of each scope, whatever their age (None: count keeps nothing)
    queue_max           records a follower may have waiting before it reads from the log instead (1,000)
    values              "inline": a record tells what was written with its value. "keys": with its key only, but for the
                        record of a session, so that values stand nowhere but in their place; a follower reads them
                        there, and there is no history of them. Each record says which of both it is
    """

    retention_age: Duration | None = "30d"
    retention_count: int | None = None
    queue_max: int = 1000
    values: Literal["inline", "keys"] = "inline"


class VariablesConfig(Struct, frozen=True, kw_only=True):
    """Variables, and the templates that they stand in.

    templating          whether `resolve` and `value` fill in templates (True)
    syntax              of a template for which none is named: "simple", "mustache", "handlebars" or "jinja" ("simple")
    value_bytes_max     bytes of one encoded value (256 KiB)
    validate_types      whether the value of a variable that has a type must be of it (True)
    environment         names of those variables of the environment that variables may come from (none)
    """

    templating: bool = True
    syntax: Literal["simple", "mustache", "handlebars", "jinja"] = "simple"
    value_bytes_max: int = 256 * _KIB
    validate_types: bool = True
    environment: tuple[str, ...] = ()


class CacheConfig(Struct, frozen=True, kw_only=True):
    """What is remembered of what was read. On memory and SQLite that is exact: what any process commits is in the very
    next read. Elsewhere there is no cache unless a `ttl` is given.

    enabled         whether there is a cache at all (True)
    ttl             where a cache cannot be exact, how long another process's write may go unseen (None: no cache there)
    entries_max     values remembered, or known to be absent, at most (100,000)
    bytes_max       and the bytes of all of them, about (64 MiB)
    """

    enabled: bool = True
    ttl: Duration | None = None
    entries_max: int = 100_000
    bytes_max: int = 64 * _MIB


class TelemetryConfig(Struct, frozen=True, kw_only=True):
    """What is counted while the store is used.

    enabled         whether calls are counted and timed, a microsecond or two each (True)
    opentelemetry   whether they are told to OpenTelemetry as well, where the application has set up a provider (True)
    """

    enabled: bool = True
    opentelemetry: bool = True


class Config(Struct, frozen=True, kw_only=True):
    """How a store is used. Immutable; give it to `Holdfast.open`.

    Raises InvalidValue for a limit that is not positive or a duration that cannot be read, TypeError for a part that
    is not of the type it has here.
    """

    session: SessionConfig = SessionConfig()
    budget: Budget = DEFAULT
    state: StateConfig = StateConfig()
    messages: MessagesConfig = MessagesConfig()
    turns: TurnsConfig = TurnsConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    runs: RunsConfig = RunsConfig()
    interactions: InteractionsConfig = InteractionsConfig()
    changes: ChangesConfig = ChangesConfig()
    retention: RetentionConfig = RetentionConfig()
    sweep: SweepConfig = SweepConfig()
    limits: Limits = Limits()
    variables: VariablesConfig = VariablesConfig()
    cache: CacheConfig = CacheConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @classmethod
    def load(
        cls,
        path: settings.File | None = None,
        *,
        environment: settings.Environment | None = None,
        **parts: settings.Part,
    ) -> Config:
        """The configuration that arguments, the environment and the file at `path` set, in this order of precedence.

            Config.load("app.toml", state={"temp_ttl": "5m"})

        Arguments are mappings of fields for each part. The environment's variables are HOLDFAST_STATE__TEMP_TTL and the
        like (`environment` is read instead of the process's own). The file is TOML or JSON, a table for each part; none
        is read unless it is named. Raises InvalidValue for a setting that is not known or not valid, naming where it
        stood, and OSError for a file that cannot be read.
        """
        return settings.load(cls(), path, environment, parts)

    def __post_init__(self) -> None:
        for name, kind in _PARTS.items():
            if not isinstance(part := getattr(self, name), kind):
                raise TypeError(f"Config.{name} must be a {kind.__name__}, not {shown(part)}")
        self._check_numbers()
        self._check_durations()
        self._check_switches()
        if self.runtime.persistence not in PERSISTENCE:
            raise InvalidValue(
                f"runtime.persistence must be one of {', '.join(PERSISTENCE)}, not {shown(self.runtime.persistence)}",
                path="runtime.persistence",
            )
        _check_choice("state.compression", self.state.compression, COMPRESSION)
        _check_choice("variables.syntax", self.variables.syntax, SYNTAXES)
        _check_names("variables.environment", self.variables.environment)
        _check_choice("runtime.compression", self.runtime.compression, COMPRESSION)
        _check_choice("changes.values", self.changes.values, VALUES)

    def _check_numbers(self) -> None:
        for name, number in {
            "limits.value_bytes_max": self.limits.value_bytes_max,
            "limits.operations_max": self.limits.operations_max,
            "limits.commit_bytes_max": self.limits.commit_bytes_max,
            "state.value_bytes_max": self.state.value_bytes_max,
            "messages.value_bytes_max": self.messages.value_bytes_max,
            "variables.value_bytes_max": self.variables.value_bytes_max,
            "runtime.batch_size": self.runtime.batch_size,
            "runtime.checkpoint_every": self.runtime.checkpoint_every,
            "changes.queue_max": self.changes.queue_max,
            "runs.history_max": self.runs.history_max,
            "interactions.concurrent_max": self.interactions.concurrent_max,
            "sweep.budget": self.sweep.budget,
            "session.max_per_user": self.session.max_per_user,
            "session.live_max": self.session.live_max,
            "changes.retention_count": self.changes.retention_count,
            "cache.entries_max": self.cache.entries_max,
            "cache.bytes_max": self.cache.bytes_max,
        }.items():
            unbounded = number is None and name in _UNBOUNDED
            if not unbounded and (type(number) is not int or number < 1):
                raise InvalidValue(f"{name} must be a positive whole number, not {shown(number)}", path=name)
        if self.interactions.concurrent_max > CONCURRENT_MAX:
            raise InvalidValue(
                f"interactions.concurrent_max is at most {CONCURRENT_MAX}, not {self.interactions.concurrent_max}",
                path="interactions.concurrent_max",
            )

    def _check_durations(self) -> None:
        to_seconds(self.runtime.flush_every, "runtime.flush_every")
        to_seconds(self.state.temp_ttl, "state.temp_ttl")
        to_seconds(self.sweep.every, "sweep.every")
        if self.turns.answers_ttl is not None:
            to_seconds(self.turns.answers_ttl, "turns.answers_ttl")
        for name, duration in {
            "changes.retention_age": self.changes.retention_age,
            "session.default_ttl": self.session.default_ttl,
            "session.idle_timeout": self.session.idle_timeout,
            "cache.ttl": self.cache.ttl,
            "retention.age": self.retention.age,
            "runs.finished_ttl": self.runs.finished_ttl,
            "interactions.default_timeout": self.interactions.default_timeout,
        }.items():
            if duration is not None:
                to_seconds(duration, name)

    def _check_switches(self) -> None:
        switches: dict[str, object] = {
            "session.extend_on_access": self.session.extend_on_access,
            "runtime.streaming": self.runtime.streaming,
            "variables.templating": self.variables.templating,
            "variables.validate_types": self.variables.validate_types,
            "runs.track_nodes": self.runs.track_nodes,
            "runs.keep_outputs": self.runs.keep_outputs,
            "runs.resumable": self.runs.resumable,
            "interactions.enabled": self.interactions.enabled,
            "interactions.keep_history": self.interactions.keep_history,
            "cache.enabled": self.cache.enabled,
            "telemetry.enabled": self.telemetry.enabled,
            "telemetry.opentelemetry": self.telemetry.opentelemetry,
        }
        for name, switch in switches.items():
            if not isinstance(switch, bool):
                raise InvalidValue(f"{name} must be True or False, not {shown(switch)}", path=name)


_UNBOUNDED = ("changes.retention_count", "session.max_per_user", "session.live_max", "runs.history_max")
"""Numbers that may be None: without bound."""

_PARTS = {
    "session": SessionConfig,
    "budget": Budget,
    "state": StateConfig,
    "messages": MessagesConfig,
    "turns": TurnsConfig,
    "runtime": RuntimeConfig,
    "runs": RunsConfig,
    "interactions": InteractionsConfig,
    "changes": ChangesConfig,
    "retention": RetentionConfig,
    "sweep": SweepConfig,
    "limits": Limits,
    "variables": VariablesConfig,
    "cache": CacheConfig,
    "telemetry": TelemetryConfig,
}


def _check_choice(name: str, chosen: object, choices: tuple[str, ...]) -> None:
    if chosen not in choices:
        raise InvalidValue(f"{name} must be {' or '.join(map(repr, choices))}, not {shown(chosen)}", path=name)


def _check_names(name: str, names: object) -> None:
    if not isinstance(names, tuple) or not all(isinstance(one, str) and one for one in names):
        raise InvalidValue(f"{name} must be a tuple of names, not {shown(names)}", path=name)

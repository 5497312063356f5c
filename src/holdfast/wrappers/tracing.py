"""Spans and a histogram for OpenTelemetry, where an application uses it.

Nothing is imported that is not there already: who has set up a provider has imported the API, and without a provider
there is nobody to tell. So an application that does not trace pays nothing, not even an import. Providers are looked
for when a store is opened.

A public method is a span of its own; a verb of the kernel is one beneath a span, never a trace of its own. A commit
goes out in a batch with others', from a task that belongs to none of their traces, so there it is measured and has no
span: what waited for it is the method's span. Names follow the semantic conventions for database clients.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NamedTuple

from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import backend_name
from holdfast.wrappers.meter import Spans, code_of

SCOPE_NAME = "holdfast"
DURATION = "db.client.operation.duration"


def spans_for(kernel: Kernel) -> Spans | None:
    """What tells OpenTelemetry of calls; None where nobody has set up a provider."""
    trace, metrics = _in_use("trace"), _in_use("metrics")
    return None if trace is None and metrics is None else OpenTelemetry(kernel, trace, metrics)


def _in_use(part: str) -> ModuleType | None:
    """That part of the API, if it is imported and has a provider that is not the API's own, which does nothing."""
    api = sys.modules.get(f"opentelemetry.{part}")
    if api is None:
        return None
    provider = api.get_tracer_provider() if part == "trace" else api.get_meter_provider()
    return None if type(provider).__module__.startswith(f"opentelemetry.{part}") else api


class Begun(NamedTuple):
    """A call that goes on: what is said of it, and its span with what ends it, if it has one."""

    attributes: dict[str, str]
    span: Any = None
    token: Any = None


class OpenTelemetry:
    """See `Spans`."""

    def __init__(self, kernel: Kernel, trace: ModuleType | None, metrics: ModuleType | None) -> None:
        self._trace: Any = trace
        self._context: Any = sys.modules.get("opentelemetry.context")
        self._tracer: Any = None if trace is None else trace.get_tracer(SCOPE_NAME)
        self._attributes = {"db.system.name": backend_name(kernel), "db.namespace": kernel.space}
        self._duration: Any = None
        if metrics is not None:
            self._duration = metrics.get_meter(SCOPE_NAME).create_histogram(
                DURATION, unit="s", description="Duration of Holdfast's methods and of its kernel's verbs."
            )

    def begin(self, name: str) -> object:
        """See `Spans.begin`."""
        attributes = {**self._attributes, "db.operation.name": name}
        if self._tracer is None or (name.startswith("kernel.") and self.trace_id() is None):
            return Begun(attributes)
        span = self._tracer.start_span(name, kind=self._trace.SpanKind.CLIENT, attributes=attributes)
        return Begun(attributes, span, self._context.attach(self._trace.set_span_in_context(span)))

    def end(self, span: object, elapsed_s: float, problem: BaseException | None) -> None:
        """See `Spans.end`."""
        assert isinstance(span, Begun)
        attributes, begun, token = span
        if problem is not None:
            attributes["error.type"] = code_of(problem)
        if begun is not None:
            self._context.detach(token)
            if problem is not None:
                begun.set_attribute("error.type", attributes["error.type"])
                begun.set_status(self._trace.Status(self._trace.StatusCode.ERROR, str(problem)))
            begun.end()
        if self._duration is not None:
            self._duration.record(elapsed_s, attributes)

    def trace_id(self) -> str | None:
        """See `Spans.trace_id`."""
        if self._trace is None:
            return None
        context = self._trace.get_current_span().get_span_context()
        return format(context.trace_id, "032x") if context.is_valid else None

"""OpenTelemetry: spans and metrics by the real SDK, exported into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from holdfast import Config, Conflict, Holdfast, TelemetryConfig
from holdfast.backends.memory import MemoryKernel
from holdfast.wrappers.tracing import spans_for


class Exported:
    """What an application's exporters got."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._metrics])

    def spans(self) -> list[Any]:
        return list(self._spans.get_finished_spans())

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans() if span.name == name]

    def durations(self) -> dict[tuple[str, str | None], int]:
        """How many calls were recorded, by operation and error."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        [metric] = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "db.client.operation.duration"
        ]
        assert metric.unit == "s"
        return {
            (str(point.attributes["db.operation.name"]), point.attributes.get("error.type")): point.count  # type: ignore[union-attr, misc]
            for point in metric.data.data_points
        }


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    """Providers as an application sets them; the API lets a process set them once only, so they are put in place."""
    exported = Exported()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: exported.tracers)
    monkeypatch.setattr(trace, "get_tracer", lambda name: exported.tracers.get_tracer(name))
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: exported.meters)
    monkeypatch.setattr(metrics, "get_meter", lambda name: exported.meters.get_meter(name))
    yield exported
    exported.tracers.shutdown()
    exported.meters.shutdown()


async def test_a_method_is_a_span_with_the_kernels_reads_beneath_it(exported: Exported) -> None:
    """By the semantic conventions for database clients."""
    async with Holdfast.open("memory://", space="acme") as hold:
        session = await hold.sessions.create(id="s")
        await session.state.get("k")
    [get] = exported.named("state.get")
    assert dict(get.attributes) == {
        "db.system.name": "memory",
        "db.namespace": "acme",
        "db.operation.name": "state.get",
    }
    assert get.kind is trace.SpanKind.CLIENT
    beneath = [span for span in exported.named("kernel.read") if span.parent.span_id == get.context.span_id]
    assert len(beneath) == 1


async def test_no_verb_is_a_trace_of_its_own(exported: Exported) -> None:
    """A batch of commits belongs to no trace."""
    async with Holdfast.open("memory://") as hold:
        await (await hold.sessions.create()).state.set("k", 1)
    assert exported.named("kernel.commit") == []
    assert {span.name for span in exported.spans() if span.parent is None} == {
        "sessions.create",
        "state.set",
        "hold.close",
    }


async def test_a_method_that_raises_is_a_span_in_error_with_the_errors_code(exported: Exported) -> None:
    async with Holdfast.open("memory://") as hold:
        session = await hold.sessions.create()
        await session.state.set("k", 1)
        with pytest.raises(Conflict):
            await session.state.set("k", 2, if_version=1)
    failed = exported.named("state.set")[1]
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes["error.type"] == "conflict"


async def test_every_call_is_in_the_histogram_of_durations(exported: Exported) -> None:
    async with Holdfast.open("memory://") as hold:
        session = await hold.sessions.create()
        for n in range(3):
            await session.state.set("k", n)
        with pytest.raises(Conflict):
            await session.state.set("k", 2, if_version=1)
        durations = exported.durations()
    assert durations["state.set", None] == 3
    assert durations["state.set", "conflict"] == 1
    assert durations["kernel.commit", None] >= 4


async def test_the_trace_of_a_commit_is_its_cause_unless_another_was_given(exported: Exported) -> None:
    async with Holdfast.open("memory://") as hold:
        session = await hold.sessions.create(id="s")
        with exported.tracers.get_tracer("app").start_as_current_span("order") as span:
            with hold.acting(by="ada"):
                await session.state.set("k", 1)
            with hold.acting(trace_id="req-17"):
                await session.state.set("k", 2)
        await session.state.set("k", 3)
        causes = []
        async for change in session.changes(after="beginning"):
            causes.append((change.cause.by, change.cause.trace_id))
            if len(causes) == 5:
                break
    mine = format(span.get_span_context().trace_id, "032x")
    assert causes[0] == causes[1], "the session and its start"
    assert causes[2:4] == [("ada", mine), (None, "req-17")]
    alone = format(exported.named("state.set")[2].context.trace_id, "032x")
    assert causes[4] == (None, alone)


async def test_the_switch_keeps_it_out_of_the_traces(exported: Exported) -> None:
    """Config.telemetry.opentelemetry."""
    config = Config(telemetry=TelemetryConfig(opentelemetry=False))
    async with Holdfast.open("memory://", config=config) as hold:
        await hold.sessions.create()
        assert (await hold.stats()).methods["sessions.create"].calls == 1
    assert exported.spans() == []


def test_without_a_provider_there_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: trace.ProxyTracerProvider())
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: metrics.NoOpMeterProvider())
    assert spans_for(MemoryKernel()) is None

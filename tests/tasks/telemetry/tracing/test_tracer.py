"""Tracer: spans reach a collector, and a failing collector costs nothing but spans."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from ml.serving.outcomes import Verdict
from tasks.config.settings import Settings
from tasks.inference.batch_report import BatchReporter, BatchTimeline
from tasks.jobs.finished import FinishedJob
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Spec, Status
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.telemetry.tracing import tracer as spans
from tasks.telemetry.tracing.context import Kind, trace_id
from tasks.telemetry.tracing.job_spans import QueueSpans
from tasks.telemetry.tracing.rate_limit import TokenBucket
from tasks.telemetry.tracing.setup import start_tracing
from tasks.telemetry.tracing.tracer import Tracer
from tests.collector import Collector
from tests.eventually import eventually
from tests.tasks.lanes import SINGLE, claim, done, put

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PLACE = (TRACE[3:35], TRACE[36:52])


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def tracer(collector: Collector) -> Iterator[Tracer]:
    level = logging.getLogger("opentelemetry").level
    tracer = Tracer(collector.url, "gpu", "host-1", 1_000)
    yield tracer
    tracer.stop()
    logging.getLogger("opentelemetry").setLevel(level)


def test_without_an_endpoint_there_is_no_tracer(settings: Settings) -> None:
    assert start_tracing(settings, "web", "host-1") is None


def test_a_span_continues_its_parents_trace_and_is_the_parent_of_its_children(
    collector: Collector, tracer: Tracer
) -> None:
    parent = tracer.begin("request", Kind.SERVER, TRACE, {"a": 1, "unknown": None})
    child = tracer.begin("child", parent=parent.traceparent, start_ns=5_000)
    child.end(error="no luck", end_ns=7_000)
    parent.end({"b": "two"})
    tracer.stop()
    (above,), (below,) = collector.named("request"), collector.named("child")
    assert (above.trace_id, above.parent_id) == PLACE
    assert (below.trace_id, below.parent_id) == above.place
    assert trace_id(parent.traceparent) == PLACE[0]
    assert (above.attributes, above.failed) == ({"a": 1, "b": "two"}, False)
    assert (below.start, below.end, below.failed) == (5_000, 7_000, True)
    assert above.service == "penstock-gpu"


def test_without_a_parent_a_trace_begins(collector: Collector, tracer: Tracer) -> None:
    traces = set()
    for _ in range(2):
        span = tracer.begin("request")
        span.end()
        traces.add(trace_id(span.traceparent))
    tracer.stop()
    assert {span.trace_id for span in collector.spans} == traces
    assert len(traces) == 2
    assert {span.parent_id for span in collector.spans} == {""}


def test_an_unsampled_trace_is_not_recorded_but_is_propagated(
    collector: Collector, tracer: Tracer
) -> None:
    span = tracer.begin("request", parent=TRACE[:-2] + "00")
    span.end()
    tracer.stop()
    assert collector.spans == []
    assert trace_id(span.traceparent) == PLACE[0]
    assert span.traceparent.endswith("-00")


def test_a_process_records_a_limited_number_of_new_traces_a_second(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(spans, "TokenBucket", lambda per_s: TokenBucket(per_s, lambda: now[0]))
    tracer = Tracer(collector.url, "web", "host-1", 2)
    for second in range(3):
        now[0] = float(second)
        for _ in range(5):
            span = tracer.begin("request")
            tracer.begin("queue", parent=span.traceparent).end()
            span.end()
    tracer.begin("theirs", parent=TRACE).end()
    tracer.stop()
    begun = {span.trace_id for span in collector.named("request")}
    assert len(begun) == 6
    assert {span.trace_id for span in collector.named("queue")} == begun
    assert len(collector.named("theirs")) == 1


def test_a_sampler_of_opentelemetry_decides_instead(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    tracer = Tracer(collector.url, "web", "host-1", 0)
    tracer.begin("request").end()
    tracer.stop()
    assert len(collector.named("request")) == 1


def test_a_batch_is_recorded_if_one_of_its_jobs_is(collector: Collector, tracer: Tracer) -> None:
    silent = TRACE[:-2] + "00"
    for links in ([], [silent], [silent, TRACE]):
        if span := tracer.begin_for(links, "batch", Kind.CONSUMER):
            span.end()
    tracer.stop()
    (batch,) = collector.named("batch")
    assert PLACE in batch.links


def test_a_batch_links_to_its_jobs_and_holds_its_tiers_and_its_commit(
    store: Store, collector: Collector, tracer: Tracer
) -> None:
    spec = replace(SINGLE.spec, request_id="r", traceparent=TRACE)
    job_id = put(store, replace(SINGLE, spec=spec)).job_id
    worker = Consumer(store, Lane.GPU)
    units = claim(worker)
    story = BatchTimeline(1_000_000, commit_ns=9_000_000)
    story.add_calls(
        "null", [Verdict("big", False, 0.001, (), 2_000_000), Verdict("small", True, 0.002)]
    )
    BatchReporter(worker, tracer).report(story, [done(unit) for unit in units], 0)
    tracer.stop()
    (batch,), (commit,) = collector.named("batch"), collector.named("commit")
    assert batch.links == {PLACE}
    assert batch.trace_id != PLACE[0]
    assert batch.attributes["penstock.jobs"] == [job_id]
    assert batch.attributes["penstock.request_ids"] == ["r"]
    big, small = collector.named("tier")
    assert (big.start, big.end, big.failed) == (2_000_000, 3_000_000, True)
    assert (small.attributes["penstock.tier"], small.failed) == ("small", False)
    assert {span.parent_id for span in (commit, big, small)} == {batch.span_id}
    assert (batch.start, batch.end) == (1_000_000, commit.end)


def test_a_batch_is_logged_at_debug_level_only(store: Store) -> None:
    put(store, replace(SINGLE, spec=replace(SINGLE.spec, request_id="r")))
    debugging = Store(store.redis, replace(store.settings, log_level="DEBUG"))
    worker = Consumer(debugging, Lane.GPU)
    settled = [done(unit) for unit in claim(worker)]
    with capture_logs() as logs:
        BatchReporter(Consumer(store, Lane.GPU), None).report(BatchTimeline(1), settled, 0)
        BatchReporter(worker, None).report(BatchTimeline(1), settled, 0)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("batch committed", "debug")
    assert (line["jobs"], line["request_ids"]) == ([settled[0].unit.job], ["r"])
    assert "hello" not in repr(line)


def test_a_jobs_wait_is_a_span_by_the_clock_of_redis(collector: Collector, tracer: Tracer) -> None:
    spec = Spec("null", "o", request_id="r", traceparent=TRACE)
    ran = FinishedJob("job_1", spec, Status.SUCCEEDED, "gpu", 1_000, 2_500, 6_000, 1)
    never_ran = replace(ran, job="job_2", status=Status.CANCELLED, started=None)
    from_cache = replace(ran, job="job_3", started=1_000, finished=1_000)
    QueueSpans(tracer)([ran, never_ran, from_cache])
    tracer.stop()
    waits = {span.attributes["penstock.job"]: (span.start, span.end) for span in collector.spans}
    assert waits == {"job_1": (1_000_000, 2_500_000), "job_2": (1_000_000, 6_000_000)}
    assert {(span.trace_id, span.parent_id) for span in collector.spans} == {PLACE}


@pytest.mark.parametrize("status", [400, 503])
def test_a_collector_that_refuses_is_logged_once(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(spans, "EXPORT_S", 0.2)
    collector.status = status
    exporter = spans._Exporter(collector.url)
    with capture_logs() as logs:
        exporter.export([])
        exporter.export([])
        collector.status = 200
        exporter.export([])
        collector.status = status
        exporter.export([])
    assert [line["log_level"] for line in logs] == ["warning", "warning"]
    assert collector.requests >= 4


def test_a_collector_that_hangs_delays_nothing_and_queued_spans_are_bounded(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "FLUSH_S", 0.1)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32")
    tracer = Tracer(collector.url, "gpu", "host-1", 1_000)
    with collector.hanging():
        for _ in range(1_000):
            tracer.begin("request").end()
        tracer.stop()
        assert collector.spans == []
    eventually(lambda: collector.spans, "what was on its way")
    assert len(collector.spans) <= 32 + 64

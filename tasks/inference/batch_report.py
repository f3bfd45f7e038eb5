"""Reports a committed batch: a log line at DEBUG and, if traces are exported, spans.

At DEBUG, because there may be hundreds of batches a second and each job has its own log line.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.serving.outcomes import Verdict
from tasks.queue.consumer import Consumer
from tasks.queue.units import SettledUnit, Unit
from tasks.telemetry.logs import BATCH_LOG, get_logger
from tasks.telemetry.tracing.context import Attributes, Kind, is_sampled

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Span, Tracer

log = get_logger(BATCH_LOG)

MAX_NAMED = 128  # jobs, and request ids, of a log line or span; also the links of a span


@dataclass(slots=True)
class BatchTimeline:
    """Times of a batch's steps, in nanoseconds since the epoch by this machine's clock.

    calls: of tiers, each with its pipeline. commit_ns: start of the commit, which has ended when
    the batch is reported.
    """

    began_ns: int
    calls: list[tuple[str, Verdict]] = field(default_factory=list)
    commit_ns: int = 0

    def add_calls(self, pipeline: str, calls: Sequence[Verdict]) -> None:
        """Add the calls of tiers for one pipeline."""
        self.calls += [(pipeline, call) for call in calls]


class BatchReporter:
    """Logs and traces the batches of one worker."""

    def __init__(self, consumer: Consumer, tracer: Tracer | None) -> None:
        self._lane = str(consumer.lane)
        self._worker = consumer.name
        self._tracer = tracer
        self._debugging = consumer.store.settings.log_level == "DEBUG"

    def report(self, timeline: BatchTimeline, settled: Sequence[SettledUnit], stale: int) -> None:
        """Report a committed batch. stale: units that had been lost to another worker."""
        end_ns, units = time.time_ns(), [one.unit for one in settled]
        if self._debugging:
            self._log(timeline, units, stale, end_ns)
        if self._tracer:
            self._trace(self._tracer, timeline, units, end_ns)

    def _log(self, timeline: BatchTimeline, units: Sequence[Unit], stale: int, end_ns: int) -> None:
        log.debug(
            "batch committed",
            lane=self._lane,
            worker=self._worker,
            pipelines=sorted({unit.payload.pipeline for unit in units}),
            units=len(units),
            items=sum(unit.items for unit in units),
            stale=stale,
            tiers=[
                {"tier": call.tier, "ms": _ms(call.seconds * 1e9)} for _, call in timeline.calls
            ],
            commit_ms=_ms(end_ns - timeline.commit_ns),
            ms=_ms(end_ns - timeline.began_ns),
            jobs=_jobs(units),
            request_ids=_request_ids(units),
        )

    def _trace(
        self, tracer: Tracer, timeline: BatchTimeline, units: Sequence[Unit], end_ns: int
    ) -> None:
        """Export the batch as its own trace, with links to the traces of all its jobs."""
        found = dict.fromkeys(u.payload.traceparent for u in units if u.payload.traceparent)
        traces = sorted(found, key=is_sampled, reverse=True)[:MAX_NAMED]
        batch = tracer.begin_for(traces, "batch", Kind.CONSUMER, timeline.began_ns)
        if batch is None:
            return
        for pipeline, call in timeline.calls:
            _trace_call(tracer, batch, pipeline, call)
        tracer.begin("commit", parent=batch.traceparent, start_ns=timeline.commit_ns).end(
            end_ns=end_ns
        )
        about: Attributes = {
            "penstock.lane": self._lane,
            "penstock.worker": self._worker,
            "penstock.units": len(units),
            "penstock.items": sum(unit.items for unit in units),
            "penstock.jobs": _jobs(units),
            "penstock.request_ids": _request_ids(units),
        }
        batch.end(about, end_ns=end_ns)


def _trace_call(tracer: Tracer, batch: Span, pipeline: str, call: Verdict) -> None:
    about = {"penstock.pipeline": pipeline, "penstock.tier": call.tier}
    span = tracer.begin("tier", Kind.INTERNAL, batch.traceparent, about, call.began_ns)
    error = "" if call.answered else "it answered none of its items"
    span.end(error=error, end_ns=call.began_ns + round(call.seconds * 1e9))


def _jobs(units: Sequence[Unit]) -> list[str]:
    return list(dict.fromkeys(unit.job for unit in units))[:MAX_NAMED]


def _request_ids(units: Sequence[Unit]) -> list[str]:
    found = (unit.payload.request_id for unit in units)
    return list(dict.fromkeys(one for one in found if one))[:MAX_NAMED]


def _ms(ns: float) -> float:
    return round(ns / 1e6, 3)

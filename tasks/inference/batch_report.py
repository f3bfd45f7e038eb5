"""What is said of a batch once it is committed: a line at DEBUG and, if traces are exported, spans.

There may be hundreds of batches a second, and each job has a line of its own: hence DEBUG.
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

MOST_NAMED = 128  # jobs, and requests, that a line or a span names; as many links has a span


@dataclass(slots=True)
class BatchTimeline:
    """When it came to what, since the epoch by this machine's clock.

    calls: those of tiers, with their pipelines. commit_ns: when its commit began; it has ended when
    the story is told.
    """

    began_ns: int
    calls: list[tuple[str, Verdict]] = field(default_factory=list)
    commit_ns: int = 0

    def add(self, pipeline: str, calls: Sequence[Verdict]) -> None:
        self.calls += [(pipeline, call) for call in calls]


class BatchReporter:
    """Tells the stories of one worker's batches."""

    def __init__(self, worker: Consumer, tracer: Tracer | None) -> None:
        self._lane = str(worker.lane)
        self._worker = worker.name
        self._tracer = tracer
        self._debugging = worker.store.settings.log_level == "DEBUG"

    def tell(self, story: BatchTimeline, settled: Sequence[SettledUnit], stale: int) -> None:
        """stale: units that another worker had taken over."""
        end_ns, units = time.time_ns(), [one.unit for one in settled]
        if self._debugging:
            self._log(story, units, stale, end_ns)
        if self._tracer:
            self._trace(self._tracer, story, units, end_ns)

    def _log(self, story: BatchTimeline, units: Sequence[Unit], stale: int, end_ns: int) -> None:
        log.debug(
            "batch committed",
            lane=self._lane,
            worker=self._worker,
            pipelines=sorted({unit.payload.pipeline for unit in units}),
            units=len(units),
            items=sum(unit.items for unit in units),
            stale=stale,
            tiers=[{"tier": call.tier, "ms": _ms(call.seconds * 1e9)} for _, call in story.calls],
            commit_ms=_ms(end_ns - story.commit_ns),
            ms=_ms(end_ns - story.began_ns),
            jobs=_jobs(units),
            request_ids=_request_ids(units),
        )

    def _trace(
        self, tracer: Tracer, story: BatchTimeline, units: Sequence[Unit], end_ns: int
    ) -> None:
        """The batch is a trace of its own: it belongs to all of its jobs, so it links to them."""
        found = dict.fromkeys(u.payload.traceparent for u in units if u.payload.traceparent)
        traces = sorted(found, key=is_sampled, reverse=True)[:MOST_NAMED]
        batch = tracer.begin_for(traces, "batch", Kind.CONSUMER, story.began_ns)
        if batch is None:
            return
        for pipeline, call in story.calls:
            _trace_call(tracer, batch, pipeline, call)
        tracer.begin("commit", parent=batch.traceparent, start_ns=story.commit_ns).end(
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
    return list(dict.fromkeys(unit.job for unit in units))[:MOST_NAMED]


def _request_ids(units: Sequence[Unit]) -> list[str]:
    found = (unit.payload.request_id for unit in units)
    return list(dict.fromkeys(one for one in found if one))[:MOST_NAMED]


def _ms(ns: float) -> float:
    return round(ns / 1e6, 3)

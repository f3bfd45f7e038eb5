"""Records a span per finished job: the time it waited in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.jobs.finished import FinishedJob
from tasks.telemetry.tracing.context import Kind

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer


class QueueSpans:
    """A sink of `tasks.telemetry.sinks`. Times are by Redis's clock, other spans' by their host's.

    A job that was never claimed waited until its end. A job answered from the cache did not wait.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, jobs: Sequence[FinishedJob]) -> None:
        for job in jobs:
            if job.finished > job.created:
                self._record(job)

    def _record(self, job: FinishedJob) -> None:
        spec = job.spec
        about = {
            "penstock.job": job.job,
            "penstock.request_id": spec.request_id,
            "penstock.owner": spec.owner,
            "penstock.pipeline": spec.pipeline,
            "penstock.lane": job.lane or None,
            "penstock.status": job.status.value,
        }
        start_ns, until = job.created * 1_000, job.started or job.finished
        span = self._tracer.begin("queue", Kind.INTERNAL, spec.traceparent, about, start_ns)
        span.end(end_ns=until * 1_000)

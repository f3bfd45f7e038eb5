"""A line for each job that has ended, with its times. Its inputs are never in it."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.ended import Ended
from tasks.logs import get_logger

log = get_logger("penstock.jobs")


class JobLog:
    """A sink of `tasks.reports`. worker: who says so."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def __call__(self, jobs: Sequence[Ended]) -> None:
        for job in jobs:
            spec = job.spec
            log.info(
                "job ended",
                job=job.job,
                status=job.status,
                pipeline=spec.pipeline,
                owner=spec.owner,
                request_id=spec.request_id,
                lane=job.lane,
                worker=self._worker,
                items=job.total,
                failed=job.failed,
                attempts=job.attempts,
                cached=job.cached,
                queue_ms=job.queue_ms,
                run_ms=job.run_ms,
                total_ms=job.total_ms,
            )

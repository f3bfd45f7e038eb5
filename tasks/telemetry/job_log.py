"""Logs one line per finished job, with its times and never with its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.jobs.finished import FinishedJob
from tasks.telemetry.logs import JOB_LOG, get_logger
from tasks.telemetry.tracing.context import trace_id

log = get_logger(JOB_LOG)


class JobLog:
    """A sink of `tasks.telemetry.sinks`. worker: name of the process that writes the line."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def __call__(self, jobs: Sequence[FinishedJob]) -> None:
        for job in jobs:
            log.info("job ended", worker=self._worker, **_fields(job))


def _fields(job: FinishedJob) -> dict[str, Any]:
    """The fields of the line; unknown ones are left out."""
    spec = job.spec
    fields = {
        "job": job.job,
        "status": job.status,
        "pipeline": spec.pipeline,
        "owner": spec.owner,
        "request_id": spec.request_id,
        "trace_id": trace_id(spec.traceparent),
        "lane": job.lane or None,
        "tier": job.tier,
        "model_version": job.model_version,
        "items": job.total,
        "failed": job.failed,
        "attempts": job.attempts,
        "cached": job.cached,
        "queue_ms": job.queue_ms,
        "run_ms": job.run_ms,
        "total_ms": job.total_ms,
        "input_hash": spec.input_hash,
    }
    return {name: value for name, value in fields.items() if value is not None}

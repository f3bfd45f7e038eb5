"""A finished job as the script that ended it returns it: for logs, traces and dashboards.

Each finished job is returned once, to the process that ran the script. If that process dies before
it has reported the job, the report is lost; the record and the counters in Redis are not affected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson

from tasks.jobs.model import Job, Spec, Status
from tasks.store.series import NONE


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job that has ended. Times are microseconds since the epoch by Redis's clock.

    started: None if it was never claimed. outcome: {"output", "error"} of a single job, if the
    process that ended it knows them. tier, model_version: of its answer; of a bulk job, those of
    its last unit; "mixed" if that has several; None if it was not answered.
    """

    job: str
    spec: Spec
    status: Status
    lane: str
    created: int
    started: int | None
    finished: int
    total: int
    failed: int = 0
    attempts: int = 0
    cached: bool = False
    outcome: Mapping[str, Any] | None = None
    tier: str | None = None
    model_version: str | None = None

    @classmethod
    def read(
        cls, raw: Sequence[str | None], outcomes: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Self:
        """Build from the fields that finish.lua returns. outcomes: of single jobs, by job id."""
        job, status, lane, created, started, finished, total, failed, attempts, cached, *rest = raw
        spec, answered = rest
        tier, version = _answered(answered)
        return cls(
            job=str(job),
            spec=Spec(**orjson.loads(spec or "")),
            status=Status(str(status)),
            lane=lane or "",
            created=int(created or 0),
            started=int(started) if started else None,
            finished=int(finished or 0),
            total=int(total or 0),
            failed=int(failed or 0),
            attempts=int(attempts or 0),
            cached=cached == "1",
            outcome=(outcomes or {}).get(str(job)) if int(total or 0) == 1 else None,
            tier=tier,
            model_version=version,
        )

    @classmethod
    def of(cls, job: Job) -> Self:
        """Build from the record of a job that has ended."""
        output = (job.outcome or {}).get("output") or {}
        return cls(
            job=job.id,
            spec=job.spec,
            status=job.status,
            lane=job.lane,
            created=job.created,
            started=job.started,
            finished=job.finished or job.created,
            total=job.total,
            failed=job.failed,
            attempts=job.attempts,
            cached=job.cached,
            outcome=job.outcome,
            tier=output.get("tier"),
            model_version=output.get("model_version"),
        )

    @property
    def queue_ms(self) -> float | None:
        """From submit to the first claim."""
        return None if self.started is None else max(0, self.started - self.created) / 1000

    @property
    def run_ms(self) -> float | None:
        """From the first claim to the end."""
        return None if self.started is None else max(0, self.finished - self.started) / 1000

    @property
    def total_ms(self) -> float:
        """From submit to the end."""
        return max(0, self.finished - self.created) / 1000


def _answered(labels: str | None) -> tuple[str | None, str | None]:
    """Tier and model version of pipeline|tier|model version, as the worker counted them."""
    _, tier, version = (labels or f"{NONE}|{NONE}|{NONE}").split("|")
    return (tier, version) if tier != NONE else (None, None)

"""A job that a script has just ended, as that script alone tells of it: for logs and dashboards.

Each end is told once, to whoever ran the script. A process that dies before it has passed it on
takes the news along; the record and the counts in Redis are not touched by that.
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
    """Times are Redis's microseconds since the epoch; a job that was never claimed has no start.

    outcome: {"output", "error"} of a single job, where whoever ended it knows it.
    tier, model_version: of its answer; of a bulk job's, those of its last unit; "mixed", if that
    has several; None if it was not answered.
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
        """Build from what finish.lua gathers of a job. outcomes: of single jobs, by their id."""
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
    """Tier and model version of pipeline|tier|model version, see `tasks.queue.counters`."""
    _, tier, version = (labels or f"{NONE}|{NONE}|{NONE}").split("|")
    return (tier, version) if tier != NONE else (None, None)

"""A job: its specification, its record and status, and its form as JSON values.

    queued --claim--> running --commit--> succeeded | failed
       |                 |
       +----cancel-------+---> cancelled
       +----deadline-----+---> expired

A terminal status is final: every transition is one Lua script that reads the status before it
writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar
from urllib.parse import urlsplit

import orjson


class Status(StrEnum):
    """Status of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self not in (Status.QUEUED, Status.RUNNING)


@dataclass(frozen=True, slots=True)
class Spec:
    """What the client submitted; written once, never changed.

    options: as the client sent them, validated. metadata: the client's own, echoed. bulk: whether
    the job was submitted with `inputs`, so that its results are read as a list. unit_items: items
    of each of its units but the last. webhook: {"url", "events"}, the job's own webhook.
    input_hash: for the log, if that is switched on (see `tasks.jobs.hashing`).
    """

    pipeline: str
    owner: str
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    bulk: bool = False
    unit_items: int = 1
    request_id: str | None = None
    traceparent: str | None = None
    webhook: Mapping[str, Any] | None = None
    input_hash: str | None = None

    @property
    def hook(self) -> str:
        """The webhook as scripts read it: its delivery queue (one per host), then its events."""
        if not self.webhook:
            return ""
        host = urlsplit(self.webhook["url"]).netloc
        return " ".join((f"{self.owner}@{host}", *self.webhook["events"]))

    def dump(self) -> bytes:
        return orjson.dumps(self)


@dataclass(frozen=True, slots=True)
class Job:
    """A job's record when it was read. Times are microseconds since the epoch by Redis's clock."""

    id: str
    spec: Spec
    status: Status
    lane: str
    created: int
    total: int
    started: int | None = None
    finished: int | None = None
    done: int = 0
    failed: int = 0
    attempts: int = 0
    cached: bool = False
    outcome: Mapping[str, Any] | None = None  # {"output", "error"} of a single job, once it has one

    FIELDS: ClassVar = (
        *("spec", "status", "lane", "created", "started", "finished"),
        *("total", "done", "failed", "attempts", "cached", "r:0"),
    )

    @classmethod
    def read(cls, job_id: str, values: list[str | None]) -> Job | None:
        """Build from the values of `FIELDS`, in their order; None if there is no such record."""
        (
            spec,
            status,
            lane,
            created,
            started,
            finished,
            total,
            done,
            failed,
            attempts,
            cached,
            r0,
        ) = values
        if spec is None or status is None:
            return None
        return cls(
            id=job_id,
            spec=Spec(**orjson.loads(spec)),
            status=Status(status),
            lane=lane or "",
            created=int(created or 0),
            started=int(started) if started else None,
            finished=int(finished) if finished else None,
            total=int(total or 0),
            done=int(done or 0),
            failed=int(failed or 0),
            attempts=int(attempts or 0),
            cached=cached == "1",
            outcome=orjson.loads(r0)[0] if r0 else None,
        )

    def view(self) -> dict[str, Any]:
        """The job as JSON values, without links; see `tasks.webhooks.links.job_document`."""
        outcome = self.outcome or {}
        return {
            "id": self.id,
            "pipeline": self.spec.pipeline,
            "status": self.status,
            "created_at": timestamp(self.created),
            "started_at": timestamp(self.started),
            "finished_at": timestamp(self.finished),
            "queue_ms": _ms_between(self.created, self.started),
            "run_ms": _ms_between(self.started, self.finished),
            "lane": self.lane,
            "attempts": self.attempts,
            "cached": self.cached,
            "progress": {"done": self.done, "failed": self.failed, "total": self.total},
            "output": outcome.get("output"),
            "error": outcome.get("error") or self._error_of_status(),
            "metadata": self.spec.metadata,
        }

    def _error_of_status(self) -> dict[str, str] | None:
        """The error of a job whose end no outcome explains."""
        texts = {
            Status.CANCELLED: ("cancelled", "The job was cancelled before it finished."),
            Status.EXPIRED: ("deadline_exceeded", "The job's deadline passed before it finished."),
            Status.FAILED: ("all_items_failed", "Every item failed; see the results."),
        }
        if self.status not in texts:
            return None
        code, message = texts[self.status]
        return {"code": code, "message": message}


def timestamp(us: int | None) -> str | None:
    """Format microseconds since the epoch as RFC 3339 in UTC with milliseconds."""
    if us is None:
        return None
    moment = datetime.fromtimestamp(us / 1e6, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms_between(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else max(0, end - start) / 1000

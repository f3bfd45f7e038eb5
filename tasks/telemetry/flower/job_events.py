"""Shows jobs in Flower: one Celery task event per finished job, under the job's own id.

A job is not a Celery task, but Flower shows whatever `task-*` events it receives. The last event of
a task may carry all fields of the earlier ones, so one event is enough; its fields are those of
https://docs.celeryq.dev/en/stable/userguide/monitoring.html#task-events. It holds no input, and of
an answer only the label and where it came from.

The thread that finished a job adds it to a sample of bounded size and goes on. Another thread
publishes the sample every WINDOW_S in one message: kombu takes about a millisecond per message,
whatever its size. While Redis is unreachable the events are lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.utils.nodenames import gethostname, nodename

from tasks.config.settings import Settings
from tasks.jobs.finished import FinishedJob
from tasks.jobs.model import Status
from tasks.telemetry.flower.reservoir import ReservoirSample
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sinks import Sink
from tasks.threads import LazyThread

log = get_logger(__name__)

WINDOW_S = 1.0  # so that settings.flower_jobs_per_s is the size of a sample
LOG_EVERY_S = 60.0
MOST_LABEL = 64  # characters; a custom pipeline may return an input's text as its label

EVENTS = {
    Status.SUCCEEDED: "task-succeeded",
    Status.FAILED: "task-failed",
    Status.CANCELLED: "task-revoked",
    Status.EXPIRED: "task-revoked",  # Celery's event for a task that expired
}


def flower_sinks(celery: Celery, settings: Settings, name: str) -> list[Sink]:
    """The sink that shows jobs in Flower, if enabled. name: of the Celery node, such as `gpu`."""
    if not settings.flower_jobs_per_s:
        return []
    return [FlowerJobs(celery, nodename(name, gethostname()), settings.flower_jobs_per_s)]


class FlowerJobs:
    """A sink of `tasks.telemetry.sinks`. node: the Celery worker that Flower shows for the jobs."""

    def __init__(self, celery: Celery, node: str, jobs_per_s: int) -> None:
        self._celery = celery
        self._node = node
        self._sample: ReservoirSample[FinishedJob] = ReservoirSample(jobs_per_s)
        self._pending = threading.Event()
        self._thread = LazyThread("flower", self._run)
        self._dropped = DroppedJobs()

    def __call__(self, jobs: Sequence[FinishedJob]) -> None:
        self._thread.start()
        self._sample.offer(jobs)
        self._pending.set()

    def _run(self) -> None:
        while True:
            self._pending.wait()
            time.sleep(WINDOW_S)
            self._pending.clear()
            self.flush()

    def flush(self) -> None:
        """Publish the sample now. Never raises: jobs that cannot be published are only counted."""
        jobs, left_out = self._sample.take()
        try:
            if jobs:
                publish(self._celery, self._node, jobs)
        except Exception as error:
            self._dropped.count(left_out, lost=len(jobs), error=str(error))
        else:
            self._dropped.count(left_out)


def publish(celery: Celery, node: str, jobs: Sequence[FinishedJob]) -> None:
    """Send the events of `jobs` in one message, without retrying.

    Raises:
        kombu.exceptions.OperationalError, redis.RedisError, OSError: the broker cannot be reached.
    """
    with celery.amqp.producer_pool.acquire(block=True) as producer:
        dispatcher = celery.events.Dispatcher(
            producer.connection,
            hostname=node,
            channel=producer.channel,
            buffer_while_offline=False,
            buffer_group={"task"},
            buffer_limit=len(jobs) + 1,
        )
        for job in jobs:
            dispatcher.send(EVENTS[job.status], **fields_of(job))
        dispatcher.flush()


def fields_of(job: FinishedJob) -> dict[str, Any]:
    """The fields of a job's event. Times are seconds since the epoch; the runtime is seconds."""
    return {
        "uuid": job.job,
        "name": job.spec.pipeline,
        "args": f"{job.total} item{'s' if job.total != 1 else ''}",
        "kwargs": ", ".join(f"{name}={value}" for name, value in _search_fields(job)),
        "retries": max(0, job.attempts - 1),
        "received": job.created / 1e6,
        "started": None if job.started is None else job.started / 1e6,
        "timestamp": job.finished / 1e6,
        "runtime": None if job.run_ms is None else job.run_ms / 1000,
        **_result_fields(job),
    }


def _search_fields(job: FinishedJob) -> list[tuple[str, Any]]:
    """Fields that operators search for: Flower searches the words of `kwargs`."""
    spec = job.spec
    found = [("lane", job.lane), ("owner", spec.owner), ("request_id", spec.request_id)]
    found.append(("cached", "true" if job.cached else None))
    return [(name, value) for name, value in found if value]


def _result_fields(job: FinishedJob) -> dict[str, Any]:
    if job.status == Status.SUCCEEDED:
        return {"result": _summary(job)}
    if job.status == Status.FAILED:
        return {"exception": _error_code(job)}
    expired = job.status == Status.EXPIRED
    reason = "deadline_exceeded" if expired else "cancelled"
    return {"exception": reason, "expired": expired, "terminated": False, "signum": None}


def _summary(job: FinishedJob) -> str:
    output = (job.outcome or {}).get("output")
    if not output:
        return f"{job.total - job.failed} of {job.total} succeeded"
    label, reason = output.get("label"), output.get("reason")
    found = [("label", label[:MOST_LABEL] if isinstance(label, str) else None)]
    found += [("tier", output.get("tier")), ("degraded", reason if output.get("degraded") else "")]
    return ", ".join(f"{name}={value}" for name, value in found if value) or "succeeded"


def _error_code(job: FinishedJob) -> str:
    """The code of the job's error, as the API shows it."""
    if error := (job.outcome or {}).get("error"):
        return str(error["code"])
    # A single job that failed without an outcome was not run: queue/claim.lua gave up on it.
    return "poison_input" if job.total == 1 else "all_items_failed"


class DroppedJobs:
    """Counts jobs that Flower does not show, and logs the counts once a minute at most."""

    def __init__(self) -> None:
        self._left_out = self._lost = 0
        self._logged_at = -LOG_EVERY_S

    def count(self, left_out: int, lost: int = 0, error: str | None = None) -> None:
        """Add to the counts. left_out: by the sample. lost: not published, because of `error`."""
        self._left_out += left_out
        self._lost += lost
        now = time.monotonic()
        if (self._left_out or self._lost) and now >= self._logged_at + LOG_EVERY_S:
            say = log.warning if self._lost else log.info
            more = {"error": error} if error else {}
            say("jobs not shown in flower", left_out=self._left_out, lost=self._lost, **more)
            self._left_out = self._lost = 0
            self._logged_at = now

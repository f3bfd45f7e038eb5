"""Server-sent events of a job (WHATWG HTML, section 9.2).

    retry: 2000

    event: status                    at once, and whenever the status has changed
    id: running-0-0
    data: {the job, as every route shows it}

    event: progress                  when more items are done
    id: running-64-0
    data: {"done": 64, "failed": 0, "total": 1000}

The final status is the last event; then the stream ends. It also ends when its time is up, when
this process is stopping, and when Redis fails: the client reconnects and gets the present state.
EventSource reconnects even after the last event, with that event's id; 204 then tells it to stop.

A stream holds a thread, so their number is limited. A disconnected client is noticed at the next
write; a comment is written at least every `KEEP_ALIVE_S`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Any

import orjson
from flask import Response, g, request
from redis import RedisError

from app.http import error_reports
from app.http.errors import Shedding
from app.http.responses import NO_STORE
from app.job_updates.long_poll import LongPolls
from tasks.jobs.model import Job, Status
from tasks.jobs.read import read_job
from tasks.store.client import Store
from tasks.telemetry.logs import get_logger
from tasks.webhooks.links import job_document

log = get_logger(__name__)

LOOK_AGAIN_S = 1.0  # the longest delay of progress; an end is sent at once
KEEP_ALIVE_S = 15.0
RECONNECT_MS = 2_000
RETRY_AFTER_S = 5  # if all streams are in use

KEEP_ALIVE = b": still there\n\n"
HEADERS = [
    ("Content-Type", "text/event-stream; charset=utf-8"),
    NO_STORE,
    ("X-Accel-Buffering", "no"),  # nginx would hold events back to fill its buffer
]


class EventStreams:
    """The event streams of this process."""

    def __init__(self, store: Store, long_polls: LongPolls) -> None:
        self._store = store
        self._long_polls = long_polls
        self._most = store.settings.max_event_streams
        self._free = BoundedSemaphore(self._most)

    def follow(self, job: Job) -> Response:
        """Respond with a stream of events that begins with the present state of the job.

        Raises:
            Shedding: this process sends as many streams as it may.
        """
        last = _state(job.status, job)
        if job.status.is_terminal and request.headers.get("Last-Event-ID") == last:
            return Response(status=204, headers=[NO_STORE])
        if request.method == "HEAD":
            return Response(iter(()), headers=HEADERS)  # a list would have a Content-Length
        if not self._free.acquire(blocking=False):
            raise Shedding(
                f"This process sends {self._most} event streams, the most it may. Try again "
                "after Retry-After seconds, or read the job with ?wait=N.",
                RETRY_AFTER_S,
            )
        response = Response(self._stream(job.id, g.get("request_id", "")), headers=HEADERS)
        response.call_on_close(self._free.release)
        return response

    def _stream(self, job_id: str, request_id: str) -> Iterator[bytes]:
        yield b"retry: %d\n\n" % RECONNECT_MS
        try:
            yield from self._events(job_id)
        except RedisError as error:
            log.warning("redis failed an event stream", error=str(error))
        except Exception as error:
            error_reports.report_broken_stream(error, request_id)
            raise

    def _events(self, job_id: str) -> Iterator[bytes]:
        """Yield the events as they happen; the thread of the stream waits in here."""
        end = time.monotonic() + self._store.settings.max_events_s
        sent: Job | None = None
        sent_at = 0.0
        with self._long_polls.register(job_id) as waiter:
            job = read_job(self._store, job_id)
            while job is not None:
                if events := _events_since(sent, job):
                    yield events
                    sent, sent_at = job, time.monotonic()
                elif time.monotonic() - sent_at >= KEEP_ALIVE_S:
                    yield KEEP_ALIVE
                    sent_at = time.monotonic()
                left = end - time.monotonic()
                if job.status.is_terminal or left <= 0 or self._long_polls.draining:
                    return
                ended = waiter.wait(min(LOOK_AGAIN_S, left))
                job = ended or read_job(self._store, job_id)


def _events_since(sent: Job | None, job: Job) -> bytes:
    """The events since the state that was sent last; b"" if nothing has changed."""
    events = b""
    if sent and (sent.done, sent.failed) != (job.done, job.failed):
        # with the status that was sent: who has read only this has not read the last event
        events += _event("progress", _state(sent.status, job), job.view()["progress"])
    if sent is None or sent.status != job.status:
        events += _event("status", _state(job.status, job), job_document(job))
    return events


def _event(kind: str, state: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\nid: {state}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


def _state(status: Status, job: Job) -> str:
    """The id of an event: the state of the job after it."""
    return f"{status}-{job.done}-{job.failed}"

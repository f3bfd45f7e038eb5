"""Long polls: many threads wait for jobs, and one thread listens to Redis for all of them.

A worker's commit publishes the ids of the jobs it ended. The listener reads those that are waited
for in one round trip and hands each waiter its job. So a waiter costs a blocked thread, but neither
a connection nor a read of its own. Notices are best effort: every few seconds,
and after the subscription was lost, the listener reads all jobs that are waited for.

The number of waiters is limited, and once the process is stopping (`drain`) nobody waits any more:
such a request is answered with the present state of the job, and the client goes on waiting at
another process.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from redis import RedisError
from redis.client import PubSub

from tasks.jobs.model import Job
from tasks.jobs.read import read_jobs
from tasks.store import keys
from tasks.store.client import Store
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import failures
from tasks.threads import LazyThread

log = get_logger(__name__)

LOOK_AGAIN_S = 5.0
RECONNECT_S = 0.5


class Waiter:
    """The wait of one request for one job to end. admitted: whether it may wait."""

    __slots__ = ("_ended", "admitted", "job")

    def __init__(self) -> None:
        self.admitted = True
        self.job: Job | None = None
        self._ended = threading.Lock()
        self._ended.acquire()

    def wait(self, seconds: float) -> Job | None:
        """Wait for the job to end; None if the time is up or waiting is not possible (any more).

        A bare lock blocks at less cost than an Event.
        """
        self._ended.acquire(timeout=seconds)
        return self.job

    def hand_over(self, job: Job | None) -> None:
        """End the wait. job: the ended job, or None."""
        self.job = job
        self._ended.release()


class LongPolls:
    """The waiters of this process, at most `most` at once."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._count = 0
        self.draining = False
        self._waiters: dict[str, list[Waiter]] = defaultdict(list)
        self._lock = threading.Lock()
        self._listener = LazyThread("done", self._listen)

    @contextmanager
    def register(self, job_id: str) -> Iterator[Waiter]:
        """Register a waiter, before the job is read: an end between would be missed."""
        self._listener.start()
        waiter = Waiter()
        with self._lock:
            if self.draining or self._count >= self._most:
                waiter.admitted = self.draining
                waiter.hand_over(None)
            else:
                self._waiters[job_id].append(waiter)
            self._count += 1
        try:
            yield waiter
        finally:
            with self._lock:
                self._count -= 1
                waiters = self._waiters.get(job_id, [])
                if waiter in waiters:
                    waiters.remove(waiter)
                if not waiters:
                    self._waiters.pop(job_id, None)

    def drain(self) -> None:
        """End every wait, and admit no new one."""
        with self._lock:
            self.draining = True
            waiters = [waiter for waiters in self._waiters.values() for waiter in waiters]
            self._waiters.clear()
        for waiter in waiters:
            waiter.hand_over(None)

    def _listen(self) -> None:
        heard = True
        while True:
            try:
                with self._store.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    pubsub.subscribe(keys.DONE)
                    heard = True
                    self._relay(pubsub)
            except RedisError as error:
                if heard:  # once per outage
                    log.warning("done notices interrupted", error=str(error))
                heard = False
            except Exception as error:  # no other code would start the listener again
                log.exception("done listener failed")
                failures.unexpected(error, "done listener")
            time.sleep(RECONNECT_S)

    def _relay(self, pubsub: PubSub) -> None:
        look_at = 0.0
        while True:
            message: dict[str, Any] | None = pubsub.get_message(timeout=LOOK_AGAIN_S)
            if time.monotonic() >= look_at:
                self._notify(list(self._waiters))
                look_at = time.monotonic() + LOOK_AGAIN_S
            elif message is not None:
                self._notify(message["data"].split(" "))

    def _notify(self, job_ids: Collection[str]) -> None:
        wanted = [job_id for job_id in job_ids if job_id in self._waiters]
        if not wanted:
            return
        for job in read_jobs(self._store, wanted):
            if job and job.status.is_terminal:
                with self._lock:
                    waiters = self._waiters.pop(job.id, [])
                for waiter in waiters:
                    waiter.hand_over(job)

"""Long-polls: many threads wait for jobs, one listens to Redis for all of them.

A worker's commit publishes the ids of the jobs it ended. The listener reads those that somebody
here waits for in one round trip and hands each waiter its job, so that a waiter costs a parked
thread and neither a connection nor a read of its own. Notices are best effort; every few seconds,
and after the subscription was lost, the listener looks at everything that is still waited for.

Only so many may wait at once, and nobody any more once the process is to end (`drain`): what waits
then is answered with the job as it stands, and the client goes on waiting at another process.
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
    """One request's wait for one job to end. admitted: whether there was room for it."""

    __slots__ = ("_ended", "admitted", "job")

    def __init__(self) -> None:
        self.admitted = True
        self.job: Job | None = None
        self._ended = threading.Lock()
        self._ended.acquire()

    def wait(self, seconds: float) -> Job | None:
        """The ended job; None when the time is up or there is no waiting (any more).

        A bare lock parks cheaper than an Event.
        """
        self._ended.acquire(timeout=seconds)
        return self.job

    def hand_over(self, job: Job | None) -> None:
        self.job = job
        self._ended.release()


class LongPolls:
    """All the waits of this process: `most` at once."""

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
        """Register before the job can end: an end between a read and a wait would be missed."""
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
        """End every wait, and let none begin."""
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
            except Exception as error:  # nobody would start the listener again
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

"""Pool target: a thread that reads from Redis how many children a worker's pool should have."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from redis import RedisError

from tasks.autoscaling.decisions import limits_of
from tasks.jobs.lanes import Lane
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.series import series_key
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

POLL_S: Final = 1.0


class PoolTarget(threading.Thread):
    """Polls the last decision on a lane.

    It is a thread of its own because a parent that waits for Redis passes no wake-ups on to its
    children.
    """

    def __init__(self, store: Store, lane: Lane) -> None:
        super().__init__(name="pool-target", daemon=True)
        self._store = store
        self._lane = lane
        self._limits = limits_of(store.settings, lane)
        self._changes: Counter[str] = Counter()  # to be added to the counters in Redis
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.wanted: int | None = None  # None: not known yet. In an outage it does not change

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh()
            except RedisError as error:
                log.debug("the lane's decision is not known", error=str(error))
            self._stopping.wait(POLL_S)

    def stop(self) -> None:
        self._stopping.set()

    def refresh(self) -> None:
        """Read the last decision, and count the changes since the last call in Redis.

        Raises:
            redis.RedisError: Redis is out of reach.
        """
        desired = self._store.redis.hget(keys.scale(self._lane), "desired")
        if desired is not None:
            self.wanted = max(self._limits.lowest, min(self._limits.highest, int(desired)))
        with self._lock:
            changes, self._changes = self._changes, Counter()
        for direction, children in changes.items():
            series = series_key("pool", self._lane, direction)
            self._store.redis.hincrby(keys.SERIES, series, children)

    def record_change(self, children: int) -> None:
        """Record that children were added (or removed, if below 0). Never waits."""
        with self._lock:
            self._changes["up" if children > 0 else "down"] += abs(children)
        log.info("pool changes", lane=self._lane, children=children, wanted=self.wanted)

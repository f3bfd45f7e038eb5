"""Celery autoscaler that gives a worker's pool as many children as was decided for its lane.

Celery's own rule counts the messages that it has reserved. Here these are wake-ups, of which there
is about one per child however many units wait in the lane, so Celery would never add a child.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker.autoscale import Autoscaler

from tasks.autoscaling.pool_target import POLL_S, PoolTarget
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.store.client import Store, connect


def autoscaler_for(settings: Settings, lane: Lane) -> Callable[..., PoolAutoscaler]:
    """The class or factory for Celery's setting `worker_autoscaler`."""
    return partial(PoolAutoscaler, PoolTarget(Store(connect(settings, 1), settings), lane))


class PoolAutoscaler(Autoscaler):
    """Runs in the parent's event loop, which calls `maybe_scale` about once a second.

    It removes one child at a time, and the next one only when that has ended: billiard takes a
    child that is ending for an idle one, and would choose the same one again.
    """

    def __init__(
        self,
        target: PoolTarget,
        pool: Any,
        max_concurrency: int,
        min_concurrency: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool, max_concurrency, min_concurrency, keepalive=POLL_S, **kwargs)
        self._target = target
        self.pool: Any = pool  # prefork's

    def _maybe_scale(self, req: object = None) -> bool:
        """Scale the pool; returns whether Celery must replace ended or missing children."""
        if not self._target.is_alive():
            # Not earlier: the first children must be forked before there is a thread.
            self._target.start()
        wanted = self._target.wanted
        if wanted is None or wanted == self.processes:
            return False
        if wanted > self.processes:
            return self._add(wanted - self.processes)
        return self._remove_one() if self._is_stable else True

    @property
    def _is_stable(self) -> bool:
        """Whether as many children live as should: none is ending and none is missing."""
        return bool(len(self.pool._pool._pool) == self.processes)

    def _add(self, children: int) -> bool:
        self.pool.grow(children)
        self._target.record_change(children)
        return True

    def _remove_one(self) -> bool:
        """Remove an idle child, with the signal that `tasks.worker.graceful_exit` handles."""
        try:
            self.pool.shrink(1)
        except ValueError:  # all are busy
            return False
        self._target.record_change(-1)
        return True

"""A pool that follows its lane: Celery's autoscaler, led by `tasks.autoscaling.decisions`.

Celery's own rule goes by the messages that it has reserved. Here these are wake-ups, of which there
is about one per child however much waits in a lane, so it would never add any.
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
    """What Celery makes the autoscaler of a worker with (its setting `worker_autoscaler`)."""
    return partial(PoolAutoscaler, PoolTarget(Store(connect(settings, 1), settings), lane))


class PoolAutoscaler(Autoscaler):
    """Runs in the parent's event loop, which calls `maybe_scale` every second or so.

    It takes one child away at a time, and the next one only when that has ended: billiard takes a
    child that is ending for an idle one, and would take the same one away again.
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
        """Returns whether Celery is to look after those that have ended, or are missing."""
        if not self._target.is_alive():
            self._target.start()  # here, as the first children are forked by now
        wanted = self._target.wanted
        if wanted is None or wanted == self.processes:
            return False
        if wanted > self.processes:
            return self._add(wanted - self.processes)
        return self._take_one_away() if self._settled else True

    @property
    def _settled(self) -> bool:
        """Whether as many live as there should: none is ending, and none is missing."""
        return bool(len(self.pool._pool._pool) == self.processes)

    def _add(self, children: int) -> bool:
        self.pool.grow(children)
        self._target.changed(children)
        return True

    def _take_one_away(self) -> bool:
        """An idle one: the signal that ends it is `tasks.worker.graceful_exit`'s."""
        try:
            self.pool.shrink(1)
        except ValueError:  # all are busy
            return False
        self._target.changed(-1)
        return True

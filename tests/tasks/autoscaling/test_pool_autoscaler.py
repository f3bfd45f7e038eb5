"""Pool autoscaler: follows the decision on its lane and removes one child at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.autoscaling.pool_autoscaler import PoolAutoscaler
from tasks.autoscaling.pool_target import PoolTarget
from tasks.jobs.lanes import Lane
from tasks.store import keys
from tasks.store.client import Store

RETIRES = """
import sys
from tasks.worker.graceful_exit import GracefulExit, block_sigterm

class Executor:
    def stop_draining(self, within_s):
        print("finished what was under way", within_s, flush=True)
        return True

block_sigterm()
import os
thread = GracefulExit(Executor(), lambda: os._exit(7), 60)
thread.start()
print("ready", flush=True)
thread.join()
"""


class Pool:
    """Stands in for prefork's: children end only when they are joined."""

    def __init__(self) -> None:
        self.num_processes = 1
        self._pool = SimpleNamespace(_pool=["child"])
        self.busy = False
        self.ending = False  # those that were told to go take their time

    def grow(self, n: int) -> None:
        self.num_processes += n

    def shrink(self, n: int) -> None:
        if self.busy:
            raise ValueError
        self.num_processes -= n

    def maintain_pool(self) -> None:
        if not self.ending:
            self._pool._pool = ["child"] * self.num_processes


@pytest.fixture
def target(store: Store) -> PoolTarget:
    ranged = Store(store.redis, replace(store.settings, cpu_workers_max=3))
    return PoolTarget(ranged, Lane.CPU)


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def autoscaler(target: PoolTarget, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> PoolAutoscaler:
    monkeypatch.setattr(target, "is_alive", lambda: True)  # read when the test says so
    return PoolAutoscaler(target, pool, 3, 1, mutex=None)


def wish(target: PoolTarget, workers: int) -> None:
    target._store.redis.hset(keys.scale(Lane.CPU), "desired", workers)
    target.refresh()


def test_a_pool_stays_as_it_is_until_something_was_decided(
    target: PoolTarget, autoscaler: PoolAutoscaler, pool: Pool
) -> None:
    target.refresh()
    autoscaler.maybe_scale()
    assert pool.num_processes == 1


def test_a_pool_grows_at_once_and_to_no_more_than_its_settings_allow(
    target: PoolTarget, autoscaler: PoolAutoscaler, pool: Pool
) -> None:
    wish(target, 9)
    autoscaler.maybe_scale()
    assert (pool.num_processes, len(pool._pool._pool)) == (3, 3)


def test_a_child_is_removed_only_when_the_one_before_has_ended(
    target: PoolTarget, autoscaler: PoolAutoscaler, pool: Pool
) -> None:
    wish(target, 3)
    autoscaler.maybe_scale()
    wish(target, 1)
    pool.ending = True
    for _ in range(3):
        autoscaler.maybe_scale()
    assert pool.num_processes == 2
    pool.ending = False
    for _ in range(2):
        autoscaler.maybe_scale()
    assert pool.num_processes == 1


def test_while_all_children_are_busy_none_is_removed(
    target: PoolTarget, autoscaler: PoolAutoscaler, pool: Pool
) -> None:
    wish(target, 3)
    autoscaler.maybe_scale()
    wish(target, 1)
    pool.busy = True
    autoscaler.maybe_scale()
    assert pool.num_processes == 3


def test_changes_are_counted(
    store: Store, target: PoolTarget, autoscaler: PoolAutoscaler, pool: Pool
) -> None:
    for workers in (3, 2):
        wish(target, workers)
        autoscaler.maybe_scale()
    target.refresh()
    series: Any = store.redis.hgetall(keys.SERIES)
    assert series == {"pool|cpu|up": "2", "pool|cpu|down": "1"}


def test_a_removed_child_finishes_its_batch() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RETIRES], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.kill(child.pid, signal.SIGTERM)
        assert "finished what was under way 60\n" in child.stdout.read()
        assert child.wait(60) == 7

"""A child without a pulse is ended; one that loads, beats or came back is not."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

import pytest

from tasks.config.settings import Settings
from tasks.worker.heartbeat import BEAT_S, GRACE_S, HeartbeatMonitor, SharedHeartbeats
from tests.envelopes import arrived, installed

fork = multiprocessing.get_context("fork")
LIMIT_S = 2
LOOKS = int((LIMIT_S + GRACE_S) / BEAT_S)


def live(heartbeats: SharedHeartbeats, orders: Connection) -> None:
    """A child: beats when told to, and says so."""
    heartbeats.register(0)
    orders.send("begun")
    while orders.recv():
        heartbeats.beat(0)
        orders.send("beaten")


class Child:
    def __init__(self, heartbeats: SharedHeartbeats) -> None:
        self.orders, theirs = fork.Pipe()
        self.process: ForkProcess = fork.Process(target=live, args=(heartbeats, theirs))
        self.process.start()
        assert self.orders.recv() == "begun"

    def beat(self) -> None:
        self.orders.send(True)
        assert self.orders.recv() == "beaten"


@pytest.fixture
def heartbeats() -> SharedHeartbeats:
    return SharedHeartbeats(1)


@pytest.fixture
def monitor(heartbeats: SharedHeartbeats, settings: Settings) -> HeartbeatMonitor:
    return HeartbeatMonitor(heartbeats, replace(settings, hard_limit_s=LIMIT_S))


@pytest.fixture
def child(heartbeats: SharedHeartbeats) -> Iterator[Child]:
    child = Child(heartbeats)
    yield child
    child.process.kill()
    child.process.join()


def test_a_child_that_falls_silent_is_ended_after_the_limit(
    child: Child, monitor: HeartbeatMonitor
) -> None:
    child.beat()
    for _ in range(LOOKS + 1):
        monitor.check()
    assert child.process.is_alive()
    monitor.check()
    child.process.join(30)
    assert child.process.exitcode == -signal.SIGKILL


def test_a_child_that_beats_now_and_then_lives(child: Child, monitor: HeartbeatMonitor) -> None:
    for _ in range(3 * LOOKS):
        child.beat()
        for _ in range(LOOKS):
            monitor.check()
    child.beat()
    assert child.process.is_alive()


def test_a_child_that_still_loads_is_not_listened_to(
    child: Child, monitor: HeartbeatMonitor
) -> None:
    for _ in range(3 * LOOKS):
        monitor.check()
    child.beat()
    assert child.process.is_alive()


def test_a_childs_successor_begins_anew(
    child: Child, heartbeats: SharedHeartbeats, monitor: HeartbeatMonitor
) -> None:
    child.beat()
    for _ in range(LOOKS):
        monitor.check()
    successor = Child(heartbeats)
    successor.beat()
    for _ in range(LOOKS):
        monitor.check()
    assert successor.process.is_alive()
    successor.orders.send(False)
    successor.process.join(30)
    assert successor.process.exitcode == 0


def test_what_a_child_is_at_can_be_read_until_it_says_goodbye(heartbeats: SharedHeartbeats) -> None:
    heartbeats.register(0)
    assert heartbeats.tags_of_process(os.getpid()) == {}
    heartbeats.set_tags(0, {"job": "j" * 1_000})
    heartbeats.beat(0)
    assert heartbeats.tags_of_process(os.getpid()) == {"job": "j" * 1_000}
    assert heartbeats.tags_of_process(1) is None
    heartbeats.set_tags(0, {"job": "j" * 3_000})  # too long for its place
    assert heartbeats.tags_of_process(os.getpid()) == {}
    heartbeats.set_tags(0, {"job": "j"})
    heartbeats.set_tags(0, {})
    assert heartbeats.tags_of_process(os.getpid()) == {}
    heartbeats.unregister(0)
    assert heartbeats.tags_of_process(os.getpid()) is None


def test_a_successor_does_not_begin_with_what_its_predecessor_was_at(
    heartbeats: SharedHeartbeats,
) -> None:
    heartbeats.register(0)
    heartbeats.set_tags(0, {"job": "j"})
    heartbeats.register(0)
    assert heartbeats.tags_of_process(os.getpid()) == {}


def test_the_guard_tells_what_a_silent_child_was_at_and_that_it_ended_it(
    child: Child, monitor: HeartbeatMonitor, heartbeats: SharedHeartbeats, settings: Settings
) -> None:
    heartbeats.set_tags(0, {"job": "j1"})
    child.beat()
    with installed(settings) as receiver:
        for _ in range(LOOKS + 2):
            monitor.check()
        (event,) = arrived(receiver)
    assert event["tags"]["job"] == "j1"
    assert event["extra"]["pid"] == child.process.pid
    child.process.join(30)
    assert child.process.pid is not None
    assert heartbeats.tags_of_process(child.process.pid) is None

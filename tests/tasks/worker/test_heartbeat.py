"""A child without heartbeats is killed; one that loads, sends them or came back is not."""

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


def live(heartbeats: SharedHeartbeats, commands: Connection) -> None:
    """A child process: sends a heartbeat at each command, and confirms it."""
    heartbeats.register(0)
    commands.send("begun")
    while commands.recv():
        heartbeats.beat(0)
        commands.send("beaten")


class Child:
    def __init__(self, heartbeats: SharedHeartbeats) -> None:
        self.commands, theirs = fork.Pipe()
        self.process: ForkProcess = fork.Process(target=live, args=(heartbeats, theirs))
        self.process.start()
        assert self.commands.recv() == "begun"

    def beat(self) -> None:
        self.commands.send(True)
        assert self.commands.recv() == "beaten"


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


def test_a_child_without_heartbeats_is_killed_after_the_limit(
    child: Child, monitor: HeartbeatMonitor
) -> None:
    child.beat()
    for _ in range(LOOKS + 1):
        monitor.check()
    assert child.process.is_alive()
    monitor.check()
    child.process.join(30)
    assert child.process.exitcode == -signal.SIGKILL


def test_a_child_with_rare_heartbeats_is_not_killed(
    child: Child, monitor: HeartbeatMonitor
) -> None:
    for _ in range(3 * LOOKS):
        child.beat()
        for _ in range(LOOKS):
            monitor.check()
    child.beat()
    assert child.process.is_alive()


def test_a_child_that_still_loads_is_not_monitored(child: Child, monitor: HeartbeatMonitor) -> None:
    for _ in range(3 * LOOKS):
        monitor.check()
    child.beat()
    assert child.process.is_alive()


def test_a_successor_of_a_killed_child_has_the_full_limit(
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
    successor.commands.send(False)
    successor.process.join(30)
    assert successor.process.exitcode == 0


def test_the_tags_of_a_child_can_be_read_until_it_unregisters(heartbeats: SharedHeartbeats) -> None:
    heartbeats.register(0)
    assert heartbeats.tags_of_process(os.getpid()) == {}
    heartbeats.set_tags(0, {"job": "j" * 1_000})
    heartbeats.beat(0)
    assert heartbeats.tags_of_process(os.getpid()) == {"job": "j" * 1_000}
    assert heartbeats.tags_of_process(1) is None
    heartbeats.set_tags(0, {"job": "j" * 3_000})  # too long for its slot
    assert heartbeats.tags_of_process(os.getpid()) == {}
    heartbeats.set_tags(0, {"job": "j"})
    heartbeats.set_tags(0, {})
    assert heartbeats.tags_of_process(os.getpid()) == {}
    heartbeats.unregister(0)
    assert heartbeats.tags_of_process(os.getpid()) is None


def test_a_successor_does_not_inherit_the_tags_of_its_predecessor(
    heartbeats: SharedHeartbeats,
) -> None:
    heartbeats.register(0)
    heartbeats.set_tags(0, {"job": "j"})
    heartbeats.register(0)
    assert heartbeats.tags_of_process(os.getpid()) == {}


def test_a_killed_child_is_reported_with_the_tags_of_its_batch(
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

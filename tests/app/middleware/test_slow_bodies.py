from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

import app.middleware.slow_bodies
from app.http.errors import RequestTimeout
from app.middleware.security_headers import SECURITY_HEADERS
from app.middleware.slow_bodies import SlowBodyGuard, TimedBody
from tasks.config.settings import Settings
from tests.eventually import eventually

LONG_S = 3_600


class Connection:
    """Stands in for granian: a read blocks until there is data, or a response ended it."""

    def __init__(self, *data: bytes) -> None:
        self._data = list(data)
        self._broken = threading.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.content = b""

    def read(self, size: int) -> bytes:
        if self._data:
            found = self._data.pop(0)
            assert len(found) <= size
            return found
        assert self._broken.wait(30)
        return b""

    def response_iter(
        self, status: int, headers: list[tuple[str, str]], body: Iterable[bytes]
    ) -> None:
        self.status, self.headers = status, dict(headers)
        self.content = b"".join(body)
        self._broken.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.middleware.slow_bodies, "LOOK_S", 0.01)
    monkeypatch.setattr(app.middleware.slow_bodies, "SLOW_S", 0.0)
    monkeypatch.setattr(app.middleware.slow_bodies, "FLUSH_S", 0.0)


def uploads(settings: Settings, **limits: Any) -> SlowBodyGuard:
    return SlowBodyGuard(replace(settings, **limits))


class Reading:
    """A body that a separate thread reads to its end."""

    def __init__(self, through: SlowBodyGuard, *data: bytes) -> None:
        self.connection = Connection(*data)
        self.upload = TimedBody(self.connection, self.connection, through)
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.upload.readall()
        except Exception as error:
            self.error = error

    def end(self) -> Exception | None:
        self._thread.join(30)
        return self.error


def test_a_body_that_does_not_arrive_is_answered_408_and_disconnected(settings: Settings) -> None:
    reading = Reading(uploads(settings, body_timeout_s=1), b"so far")
    assert isinstance(reading.end(), RequestTimeout)
    told = reading.connection
    problem = json.loads(told.content)
    assert (told.status, problem["status"], problem["code"]) == (408, 408, "request_timeout")
    assert told.headers["Content-Type"] == "application/problem+json"
    assert told.headers["Connection"] == "close"
    assert SECURITY_HEADERS.items() <= told.headers.items()
    # A complete response would leave the connection open and its thread blocked.
    assert int(told.headers["Content-Length"]) == len(told.content) + 1


def test_a_body_that_arrives_is_read_unchanged(settings: Settings) -> None:
    connection = Connection(b"one ", b"two ", b"three", b"")
    upload = TimedBody(connection, connection, uploads(settings))
    assert upload.read(4) == b"one "
    assert upload.readall() == b"two three"
    assert not upload.cut


def test_what_has_come_earns_time(settings: Settings) -> None:
    bodies = uploads(settings, body_timeout_s=10, body_min_bytes_per_s=1_000)
    assert bodies.allowance_s(0) == 10
    assert bodies.allowance_s(5_000) == 15


def test_a_read_asks_for_no_more_than_the_slowest_allowed_client_sends_in_time(
    settings: Settings,
) -> None:
    assert uploads(settings, body_timeout_s=2, body_min_bytes_per_s=100).step == 200
    assert uploads(settings, body_timeout_s=100, body_min_bytes_per_s=10_000).step == 65_536


def test_of_too_many_slow_bodies_the_oldest_are_cut_off(settings: Settings) -> None:
    bodies = uploads(settings, body_timeout_s=LONG_S, max_uploads=2)
    readings = []
    for _ in range(5):
        readings.append(Reading(bodies))
        eventually(lambda: readings[-1].upload in bodies._reads, "a read")
        if len(readings) == 2:
            time.sleep(0.05)  # several checks, which find nothing to do
            assert not any(reading.upload.cut for reading in readings)
    assert all(isinstance(reading.end(), RequestTimeout) for reading in readings[:3])
    assert not any(reading.upload.cut for reading in readings[3:])
    for reading in readings[3:]:
        app.middleware.slow_bodies._send_timeout(reading.upload)
        assert reading.end() is None


def test_many_bodies_at_once_are_not_cut_off_while_none_is_slow(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.middleware.slow_bodies, "SLOW_S", LONG_S)
    bodies = uploads(settings, body_timeout_s=LONG_S, max_uploads=1)
    readings = [Reading(bodies) for _ in range(3)]
    eventually(lambda: len(bodies._reads) == 3, "three reads")
    assert bodies._take_overdue() == []
    for reading in readings:
        app.middleware.slow_bodies._send_timeout(reading.upload)
        assert reading.end() is None


def test_bodies_never_hold_all_threads_even_if_none_is_slow(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.middleware.slow_bodies, "SLOW_S", LONG_S)
    monkeypatch.setattr(app.middleware.slow_bodies, "FLOODED_S", 0.0)
    bodies = uploads(settings, body_timeout_s=LONG_S, max_uploads=1)
    monkeypatch.setattr(bodies, "_room", 3)
    readings = [Reading(bodies) for _ in range(5)]
    eventually(lambda: sum(reading.upload.cut for reading in readings) == 2, "room for others")
    for reading in readings:
        if not reading.upload.cut:
            app.middleware.slow_bodies._send_timeout(reading.upload)
            assert reading.end() is None
        assert isinstance(reading.end(), RequestTimeout | None)

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from app.middleware import concurrency_limit, error_handlers, request_id
from app.middleware.concurrency_limit import ConcurrencyLimit
from tests.app.answers import problem_in
from tests.eventually import eventually

MOST = 3


class Room:
    """An application of MOST requests at once; /stay lasts until `leave` is set."""

    def __init__(self) -> None:
        self.leave = threading.Event()
        self.app = Flask("room")
        request_id.install(self.app)
        error_handlers.install(self.app, ())
        concurrency_limit.install(self.app, MOST)
        for path, view in (("/stay", self.stay), ("/livez", self.live), ("/lines", self.lines)):
            self.app.add_url_rule(path, view_func=view)

    @property
    def under_way(self) -> int:
        wsgi_app = self.app.wsgi_app
        assert isinstance(wsgi_app, ConcurrencyLimit)
        return wsgi_app.under_way

    def stay(self) -> str:
        assert self.leave.wait(30)
        return "stayed"

    def live(self) -> str:
        return "ok"

    def lines(self) -> Response:
        return Response(iter(["one\n", "two\n"]))

    @contextmanager
    def full(self) -> Iterator[FlaskClient]:
        threads = [
            threading.Thread(target=self.app.test_client().get, args=("/stay",))
            for _ in range(MOST)
        ]
        for thread in threads:
            thread.start()
        eventually(lambda: self.under_way == MOST, "a full room")
        yield self.app.test_client()
        self.leave.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def room() -> Room:
    return Room()


def test_requests_beyond_the_limit_are_refused_at_once_with_retry_after(
    room: Room,
) -> None:
    with room.full() as client:
        response = client.get("/lines")
        problem_in(response, 503, "overloaded")
        assert response.headers["Retry-After"] == "1"
    assert room.under_way == 0
    assert client.get("/stay").text == "stayed"


def test_a_process_at_its_limit_is_alive(room: Room) -> None:
    with room.full() as client:
        assert client.get("/livez").status_code == 200


def test_a_stream_counts_until_it_ends(room: Room) -> None:
    response = room.app.test_client().get("/lines")
    assert room.under_way == 1
    response.close()
    assert room.under_way == 0


def test_requests_that_fail_are_counted_out(room: Room) -> None:
    for _ in range(MOST + 1):
        assert room.app.test_client().get("/nowhere").status_code == 404
    assert room.under_way == 0

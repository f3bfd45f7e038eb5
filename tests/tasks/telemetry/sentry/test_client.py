"""Sentry client: which events reach a local receiver, and what they do not contain."""

from __future__ import annotations

import logging
import socket
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from redis import RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks.config.settings import Settings
from tasks.config.version import RELEASE, VERSION
from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.client import EventDetails
from tasks.telemetry.sentry.failures import redis_failed, unexpected
from tasks.telemetry.sentry.scrubber import WITHHELD
from tests.envelopes import SECRET, Envelopes, arrived, forgotten, installed

PYPROJECT = Path(__file__).parents[4] / "pyproject.toml"
SETTINGS = Settings(
    redis_password="redis-password-1234",
    api_key="operators-key-1234",
    key_pepper="pepper-pepper-1234",
    webhook_key="webhook-key-123456",
    sentry_environment="unit",
)


@pytest.fixture
def receiver() -> Iterator[Envelopes]:
    with installed(SETTINGS) as envelopes:
        yield envelopes
        envelopes.assert_silent_about(SECRET, SETTINGS.api_key, SETTINGS.redis_password)


@pytest.fixture
def forget() -> Iterator[None]:
    with forgotten():
        yield


def raised(error: BaseException) -> BaseException:
    """It, with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_the_release_is_the_version_of_the_package() -> None:
    assert tomllib.loads(PYPROJECT.read_text())["project"]["version"] == VERSION
    assert f"penstock@{VERSION}" == RELEASE


def test_without_a_dsn_nothing_is_installed_and_nothing_fails(
    forget: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "http://public@127.0.0.1:9/1")
    sentry.install(SETTINGS, "test")
    sentry.capture_error(ValueError(), ("a",), EventDetails())
    sentry.capture_message("Title", "text", ("a",), EventDetails())
    sentry.flush()
    assert not sentry_sdk.is_initialized()


def test_an_event_says_what_and_where_and_keeps_variables_to_itself(receiver: Envelopes) -> None:
    hidden = "hidden"
    error = raised(ValueError(f"no {hidden} shape"))
    sentry.capture_error(error, ("a", "b"), EventDetails({"job": "j1"}, ["hidden"], {"items": 3}))
    (event,) = arrived(receiver)
    assert event["tags"] == {"failure": "a", "job": "j1", "component": "test", "lane": "gpu"}
    assert event["fingerprint"] == ["penstock", "a", "b"]
    assert event["extra"] == {"items": 3, "held_back": 0}
    assert (event["release"], event["environment"]) == (RELEASE, "unit")
    (told,) = event["exception"]["values"]
    assert (told["type"], told["value"]) == ("ValueError", "no [input] shape")
    assert [frame["function"] for frame in told["stacktrace"]["frames"]] == ["raised"]
    assert "vars" not in told["stacktrace"]["frames"][0]


def test_the_same_failure_is_one_event(receiver: Envelopes) -> None:
    for _ in range(64):
        sentry.capture_error(raised(ValueError()), ("a",), EventDetails())
        sentry.capture_message("Title", "text", ("b",), EventDetails())
    assert [event["tags"]["failure"] for event in arrived(receiver)] == ["a", "b"]


def test_an_error_while_sending_an_event_fails_nothing_else(
    receiver: Envelopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentry_sdk, "capture_event", lambda *_, **__: 1 / 0)
    sentry.capture_error(raised(ValueError()), ("a",), EventDetails())
    sentry.capture_message("Title", "text", ("b",), EventDetails())
    assert arrived(receiver) == []


def test_an_outage_of_redis_is_one_event_whatever_meets_it(receiver: Envelopes) -> None:
    for _ in range(20):
        redis_failed(RedisConnectionError("Error 111 connecting to 127.0.0.1:1"))
        sentry_sdk.capture_exception(raised(RedisConnectionError("Error 111 of the broker")))
    (event,) = arrived(receiver)
    assert event["exception"]["values"][0]["value"] == "Error 111 connecting to 127.0.0.1:1"


def test_an_error_found_by_an_integration_is_sent_once_and_without_its_text(
    receiver: Envelopes,
) -> None:
    for _ in range(5):
        sentry_sdk.capture_exception(raised(ValueError("hidden")))
    sentry_sdk.capture_exception(raised(BrokenPipeError("a client that went away")))
    (event,) = arrived(receiver)
    assert event["exception"]["values"][0]["value"] == WITHHELD


def test_breadcrumbs_are_our_own_log_messages_without_fields(receiver: Envelopes) -> None:
    logging.getLogger("tasks.x").warning({"event": "leases lost", "text": "hidden"})  # structlog's
    logging.getLogger("ml.serving.cascade").warning("tier %s failed: %s", "cnn", "hidden")
    logging.getLogger("elsewhere").warning("hidden")
    sentry_sdk.add_breadcrumb(category="http", message="hidden")
    sentry_sdk.add_breadcrumb(
        category="redis", message="SET hidden", data={"redis.command": "SET", "key": "hidden"}
    )
    sentry.capture_error(raised(ValueError()), ("a",), EventDetails())
    (event,) = arrived(receiver)
    crumbs = event["breadcrumbs"]["values"]
    assert [crumb["message"] for crumb in crumbs] == ["leases lost", "tier %s failed: %s", "SET"]
    assert "hidden" not in str(crumbs)


def test_an_unexpected_error_is_sent_without_its_text(receiver: Envelopes) -> None:
    unexpected(OSError("hidden"), "x")
    (event,) = arrived(receiver)
    (told,) = event["exception"]["values"]
    assert (told["type"], told["value"]) == ("OSError", WITHHELD)


def test_a_receiver_that_never_answers_delays_nothing_and_memory_is_bounded(forget: None) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        port = deaf.getsockname()[1]
        sentry.install(replace(SETTINGS, sentry_dsn=f"http://a@127.0.0.1:{port}/1"), "test")
        began = time.monotonic()
        for n in range(sentry.MOST_QUEUED * 3):
            sentry.capture_message("Title", "text", (str(n),), EventDetails())
        sentry.flush()
        took = time.monotonic() - began
        transport: Any = sentry_sdk.get_client().transport
        queued = transport._worker._queue.qsize()
        assert sentry.MOST_QUEUED - 1 <= queued <= sentry.MOST_QUEUED  # one may be under way
        assert took < transport.TIMEOUT  # of one attempt to send


def test_a_receiver_that_is_down_raises_no_error(forget: None) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]
    sentry.install(replace(SETTINGS, sentry_dsn=f"http://a@127.0.0.1:{port}/1"), "test")
    redis_failed(RedisError("down"))
    sentry.flush()
    assert sentry_sdk.is_initialized()

"""Sentry client: which events reach a local receiver, and what they do not contain."""

from __future__ import annotations

import logging
import socket
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from redis import RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ml.serving.isolation import StopBisecting
from ml.serving.outcomes import Failure
from ml.serving.time_limit import CallTimeout
from tasks.config.settings import Settings
from tasks.config.version import RELEASE, VERSION
from tasks.inference.failures import models_failed, tags_of
from tasks.jobs.payload import Payload
from tasks.queue.units import Unit
from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.client import EventDetails
from tasks.telemetry.sentry.failures import redis_failed, unexpected
from tasks.telemetry.sentry.scrubber import WITHHELD
from tasks.worker.failures import cannot_start, crashed, device_lost, hung, no_heartbeat
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


def unit(number: int, text: str = "hidden") -> Unit:
    payload = Payload("toy", {}, [{"text": text}], f"req-{number}")
    return Unit("ps:lane:gpu:normal", f"{number}-0", f"job-{number}", 0, 1, 1, payload)


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


def test_a_batch_of_like_failures_is_one_event_with_the_first_job(receiver: Envelopes) -> None:
    units = [unit(n) for n in range(64)]
    failures = [Failure(n, "cnn", ValueError("no hidden shape")) for n in range(64)]
    models_failed(failures, units.__getitem__, lambda n: units[n].payload.inputs[0])
    (event,) = arrived(receiver)
    wanted = {"pipeline": "toy", "stage": "cnn", "job": "job-0", "request_id": "req-0"}
    assert wanted.items() <= event["tags"].items()
    assert event["extra"]["items_failed"] == 64
    receiver.assert_silent_about("hidden")


def test_failures_of_other_tiers_or_types_are_other_events(receiver: Envelopes) -> None:
    slow = StopBisecting("too slow")
    slow.__cause__ = CallTimeout("tier cnn took longer than 1 s")
    failures = [
        Failure(0, "cnn", ValueError()),
        Failure(0, "cnn", KeyError("hidden")),
        Failure(0, "rules", ValueError()),
        Failure(0, "cnn", slow),
    ]
    models_failed(failures, unit, lambda _: {"text": "hidden"})
    events = arrived(receiver)
    types = [(e["tags"]["stage"], e["exception"]["values"][-1]["type"]) for e in events]
    assert types == [
        ("cnn", "ValueError"),
        ("cnn", "KeyError"),
        ("rules", "ValueError"),
        ("cnn", "CallTimeout"),
    ]


def test_of_several_units_all_jobs_are_named() -> None:
    assert tags_of([unit(1), unit(2)]) == {"pipeline": "toy", "jobs": "job-1 job-2"}
    assert tags_of([unit(1)]) == {
        "pipeline": "toy",
        "job": "job-1",
        "request_id": "req-1",
    }


@pytest.mark.parametrize(
    ("tell", "kind", "text"),
    [
        (lambda: crashed(7, -11, {"job": "j"}), "WorkerCrash", "was killed by SIGSEGV"),
        (lambda: crashed(7, 3, {}), "WorkerCrash", "ended with status 3"),
        (lambda: crashed(7, -99, {}), "WorkerCrash", "was killed by signal 99"),
        (lambda: no_heartbeat(7, {"job": "j"}), "HungProcess", "no Python thread can run"),
        (lambda: hung("a batch", 3, {"job": "j"}), "HungModel", "more than 3 s"),
        (lambda: device_lost(RuntimeError("CUDA error")), "RuntimeError", "CUDA error"),
        (lambda: cannot_start(OSError("no model")), "OSError", "no model"),
        (lambda: unexpected(OSError("hidden"), "x"), "OSError", WITHHELD),
    ],
)
def test_each_kind_of_failure_has_its_type_and_text(
    receiver: Envelopes, tell: Callable[[], None], kind: str, text: str
) -> None:
    tell()
    (event,) = arrived(receiver)
    (told,) = event["exception"]["values"]
    assert told["type"] == kind
    assert text in told["value"]


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

"""Sentry events of a batch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ml.serving.isolation import StopBisecting
from ml.serving.outcomes import Failure
from ml.serving.time_limit import CallTimeout
from tasks.inference.failures import models_failed, tags_of
from tasks.jobs.payload import Payload
from tasks.queue.units import Unit
from tests.envelopes import SECRET, Envelopes, arrived, installed
from tests.tasks.telemetry.sentry.test_client import SETTINGS


@pytest.fixture
def receiver() -> Iterator[Envelopes]:
    with installed(SETTINGS) as envelopes:
        yield envelopes
        envelopes.assert_silent_about(SECRET, SETTINGS.api_key, SETTINGS.redis_password)


def unit(number: int, text: str = "hidden") -> Unit:
    payload = Payload("toy", {}, [{"text": text}], f"req-{number}")
    return Unit("ps:lane:gpu:normal", f"{number}-0", f"job-{number}", 0, 1, 1, payload)


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

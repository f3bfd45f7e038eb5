"""Sentry events of a worker process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tasks.worker.failures import cannot_start, crashed, device_lost, hung, no_heartbeat
from tests.envelopes import SECRET, Envelopes, arrived, installed
from tests.tasks.telemetry.sentry.test_client import SETTINGS


@pytest.fixture
def receiver() -> Iterator[Envelopes]:
    with installed(SETTINGS) as envelopes:
        yield envelopes
        envelopes.assert_silent_about(SECRET, SETTINGS.api_key, SETTINGS.redis_password)


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
    ],
)
def test_each_failure_of_a_worker_has_its_type_and_text(
    receiver: Envelopes, tell: Callable[[], None], kind: str, text: str
) -> None:
    tell()
    (event,) = arrived(receiver)
    (told,) = event["exception"]["values"]
    assert told["type"] == kind
    assert text in told["value"]

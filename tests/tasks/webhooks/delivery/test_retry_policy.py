"""Retry policy: the schedule, what ends it early, what lengthens a wait."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from tasks.config.settings import Settings
from tasks.jobs.payload import Payload
from tasks.queue.units import Unit
from tasks.webhooks.deliveries import Delivery, Result
from tasks.webhooks.delivery.attempts import Attempt
from tasks.webhooks.delivery.http_client import DeliveryResponse
from tasks.webhooks.delivery.request import Clock, DeliveryRequest
from tasks.webhooks.delivery.retry_policy import conclude

SETTINGS = Settings(
    redis_password="r" * 16, api_key="k" * 16, key_pepper="p" * 16, webhook_key="w" * 16
)
SCHEDULE = SETTINGS.webhook_schedule_s
FAILED = DeliveryResponse(500, "bad_status", 12.5)


def request(tries: int = 0, **delivery: Any) -> DeliveryRequest:
    unit = Unit("s", "1-0", "msg_1_job", 0, 1, 1, Payload("webhooks", {}, []))
    base = Delivery("msg_1_job", "job_1", "o", "job", "job.failed", "o@x", "running", 1)
    clock = Clock(1_700_000_000_000, time.monotonic())
    found = replace(base, tries=tries, **delivery)
    return DeliveryRequest(unit, found, b"the body", "https://x/", ["whsec_x"], clock, None)


def after(response: DeliveryResponse, tries: int = 0, **delivery: Any) -> Attempt:
    return conclude(request(tries, **delivery), response, SETTINGS)


def test_a_success_is_recorded() -> None:
    attempt = after(DeliveryResponse(200, None, 3.1))
    assert attempt.result is Result.SUCCEEDED
    entry = dict(attempt.entry)
    assert entry.pop("at").startswith("2023-11-14T22:13:2")
    assert entry == {"status": 200, "error": None, "ms": 3.1}


@pytest.mark.parametrize("tries", range(len(SCHEDULE)))
def test_a_failure_is_retried_after_the_scheduled_wait(tries: int) -> None:
    waits = [after(FAILED, tries).wait_ms / 1000 for _ in range(50)]
    assert all(0.9 * SCHEDULE[tries] <= wait <= 1.1 * SCHEDULE[tries] for wait in waits)
    assert len(set(waits)) > 25  # jitter


def test_ten_attempts_are_made_in_all() -> None:
    assert SCHEDULE == (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert after(FAILED, 8).result is Result.RETRY
    assert after(FAILED, 9).result is Result.FAILED
    assert after(FAILED, 12).result is Result.FAILED


@pytest.mark.parametrize(
    ("response", "delivery"), [(DeliveryResponse(410, "gone", 1), {}), (FAILED, {"event": "ping"})]
)
def test_a_gone_endpoint_and_a_ping_are_not_retried(
    response: DeliveryResponse, delivery: Any
) -> None:
    assert after(response, **delivery).result is Result.FAILED


@pytest.mark.parametrize(
    ("asked_s", "least_s", "most_s"),
    [(120, 120, 132), (1, 4.5, 5.5), (10**9, 86_400, 95_040)],
)
def test_an_endpoint_may_ask_for_a_longer_wait_up_to_the_longest(
    asked_s: float, least_s: float, most_s: float
) -> None:
    wait_s = after(replace(FAILED, retry_after_s=asked_s)).wait_ms / 1000
    assert least_s <= wait_s <= most_s


def test_what_the_next_attempt_needs_is_kept_once() -> None:
    first = after(FAILED)
    assert (first.body, first.url) == ("the body", "https://x/")
    second = after(FAILED, 1, body="the body", url="https://x/")
    assert (second.body, second.url) == ("", "")
    assert after(DeliveryResponse(200, None, 1)).body == ""
    assert after(FAILED, endpoint="we_1").url == ""


def test_an_internal_error_does_not_count_against_the_endpoint() -> None:
    assert after(DeliveryResponse(None, "internal", 0)).asked is False
    assert after(DeliveryResponse(None, "timeout", 15_000)).asked is True

"""Requests: URL, body and headers, the same bytes every time; and when nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from tasks.jobs.lanes import Lane
from tasks.jobs.read import read_job
from tasks.jobs.submit import Submission
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks import endpoints
from tasks.webhooks.deliveries import Delivery, Result, deliveries_of, ping, redeliver
from tasks.webhooks.delivery.attempts import Attempt, record
from tasks.webhooks.delivery.request import GRACE_S, DeliveryRequest, build_requests
from tasks.webhooks.links import job_document
from tasks.webhooks.owner_secrets import job_secrets
from tests.tasks.lanes import SINGLE, claim, done, put

URL = "https://example.com/hook"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def hooks(store: Store) -> Consumer:
    return Consumer(store, Lane.WEBHOOKS)


def hooked(**changes: Any) -> Submission:
    webhook = {"url": URL, "events": ["job.succeeded"]}
    return replace(SINGLE, spec=replace(SINGLE.spec, webhook=webhook, **changes))


def finished(store: Store, submission: Submission, output: Any = "fine") -> str:
    job_id = put(store, submission).job_id
    gpu = Consumer(store, Lane.GPU)
    gpu.commit([done(unit, {"output": output, "error": None}) for unit in claim(gpu)])
    return job_id


def built(hooks: Consumer) -> DeliveryRequest:
    (request,), attempts = build_requests(hooks, claim(hooks))
    assert attempts == []
    return request


def refused(hooks: Consumer) -> Attempt:
    requests, (attempt,) = build_requests(hooks, claim(hooks))
    assert requests == []
    return attempt


def again(
    store: Store, hooks: Consumer, request: DeliveryRequest, result: Result = Result.RETRY
) -> None:
    """Record a failed attempt, and make the next one due."""
    record(hooks, [request.attempt(result, 3_600_000)])
    assert redeliver(store, request.delivery.id, "o")


def only(store: Store, job_id: str) -> Delivery:
    (delivery,) = deliveries_of(store, job_id)
    return delivery


def test_the_body_is_the_job_as_the_api_shows_it(store: Store, hooks: Consumer) -> None:
    job_id = finished(store, hooked(metadata={"ticket": "A-17"}))
    request = built(hooks)
    job = read_job(store, job_id)
    assert job is not None
    body = orjson.loads(request.body)
    assert list(body) == ["type", "timestamp", "data"]
    assert body["type"] == "job.succeeded"
    assert body["timestamp"] == body["data"]["finished_at"]
    assert body["data"] == orjson.loads(orjson.dumps(job_document(job)))
    assert (request.url, body["data"]["output"]) == (URL, "fine")


@pytest.mark.parametrize(("size", "whole"), [(15_000, True), (20_481, False)])
def test_a_large_output_is_replaced_by_a_link(
    store: Store, hooks: Consumer, size: int, whole: bool
) -> None:
    job_id = finished(store, hooked(), "x" * size)
    request = built(hooks)
    data = orjson.loads(request.body)["data"]
    assert (data["output"] is not None) is whole
    assert ("output" in data["links"]) is not whole
    if not whole:
        assert data["links"]["output"] == f"/v1/jobs/{job_id}"
        assert len(request.body) < 2_000


def test_every_attempt_sends_the_same_bytes_to_the_same_url_under_the_same_id(
    store: Store, hooks: Consumer
) -> None:
    job_id = finished(store, hooked(), {"text": "Grüße, 世界 \u2028"})
    first = built(hooks)
    again(store, hooks, first)
    store.redis.delete(keys.job(job_id))  # as when it expires
    second = built(hooks)
    assert (second.body, second.url, second.delivery.id) == (
        *(first.body, first.url),
        first.delivery.id,
    )
    assert (only(store, job_id).url, only(store, job_id).tries) == (URL, 1)


def test_a_delivery_that_succeeds_at_once_keeps_no_body(store: Store, hooks: Consumer) -> None:
    job_id = finished(store, hooked())
    record(hooks, [built(hooks).attempt(Result.SUCCEEDED)])
    assert (only(store, job_id).body, only(store, job_id).url) == (None, None)


def test_a_retry_has_request_id_and_trace_even_after_the_jobs_record_expired(
    store: Store, hooks: Consumer
) -> None:
    job_id = finished(store, hooked(request_id="req-1", traceparent=TRACE))
    again(store, hooks, built(hooks))
    store.redis.delete(keys.job(job_id))
    headers = built(hooks).headers()
    assert (headers["X-Request-ID"], headers["traceparent"]) == ("req-1", TRACE)


def test_the_headers_verify_and_have_the_request_id(store: Store, hooks: Consumer) -> None:
    finished(store, hooked(request_id="req-1", traceparent=TRACE))
    request = built(hooks)
    headers = request.headers()
    (secret,) = job_secrets(store, "o")
    assert Webhook(secret).verify(request.body, headers)["type"] == "job.succeeded"
    assert headers["webhook-id"] == request.delivery.id
    assert (headers["X-Request-ID"], headers["traceparent"]) == ("req-1", TRACE)


def test_the_timestamp_is_that_of_the_attempt_by_the_clock_of_redis(
    store: Store, hooks: Consumer
) -> None:
    finished(store, hooked())
    request = built(hooks)
    late = replace(request, clock=replace(request.clock, read_at=request.clock.read_at - 100))
    seconds = int(late.headers()["webhook-timestamp"]) - store.now_us() // 1_000_000
    assert 98 <= seconds <= 102


def test_an_endpoint_is_sent_to_its_url_signed_with_its_secrets(
    store: Store, hooks: Consumer
) -> None:
    made = endpoints.create(store, "o", "https://example.com/all")
    endpoints.rotate(store, "o", made.id)
    job_id = finished(store, SINGLE)
    request = built(hooks)
    assert (request.url, len(request.secrets)) == ("https://example.com/all", 2)
    assert request.secrets[1] == made.secrets[0]
    endpoints.update(store, "o", made.id, url="https://example.com/new")
    again(store, hooks, request)
    assert built(hooks).url == "https://example.com/new"
    assert only(store, job_id).url is None


def test_a_disabled_or_deleted_endpoint_gets_no_request(store: Store, hooks: Consumer) -> None:
    made = endpoints.create(store, "o", URL)
    first = finished(store, SINGLE)
    endpoints.disable(store, "o", made.id, endpoints.FAILING)
    record(hooks, [refused(hooks)])
    (entry,) = only(store, first).log
    assert (entry["status"], entry["error"]) == (None, "endpoint_disabled")
    endpoints.update(store, "o", made.id, enabled=True)
    second = finished(store, SINGLE)
    endpoints.delete(store, "o", made.id)
    record(hooks, [refused(hooks)])
    delivery = only(store, second)
    assert (delivery.status, delivery.log[0]["error"]) == ("failed", "endpoint_deleted")
    assert store.redis.exists(keys.webhook_breaker(made.id), keys.WEBHOOKS_FAILING) == 0


def test_a_job_that_has_expired_before_the_first_attempt_is_given_up(
    store: Store, hooks: Consumer
) -> None:
    job_id = finished(store, hooked())
    store.redis.delete(keys.job(job_id))
    record(hooks, [refused(hooks)])
    delivery = only(store, job_id)
    assert (delivery.status, delivery.log[0]["error"]) == ("failed", "job_expired")


def open_breaker(store: Store, target: str, for_ms: int, failures: int = 9) -> None:
    now_ms = store.now_us() // 1000
    store.redis.set(
        keys.webhook_breaker(target), f"{failures} {now_ms + for_ms} {now_ms}", px=60_000
    )


def test_while_a_breaker_is_open_deliveries_are_postponed_with_all_they_need(
    store: Store, hooks: Consumer
) -> None:
    job_id = finished(store, hooked())
    open_breaker(store, "o@example.com", 10_000)
    attempt = refused(hooks)
    assert attempt.result is Result.POSTPONED
    assert 9_000 < attempt.wait_ms <= 11_000
    record(hooks, [attempt])
    delivery = only(store, job_id)
    assert (delivery.status, delivery.tries, delivery.url) == ("queued", 0, URL)
    assert delivery.body


def test_a_breaker_lets_one_request_through_after_its_cool_down(
    store: Store, hooks: Consumer
) -> None:
    for _ in range(3):
        finished(store, hooked())
    open_breaker(store, "o@example.com", -1)
    requests, attempts = build_requests(hooks, claim(hooks))
    assert len(requests) == 1
    assert [attempt.result for attempt in attempts] == [Result.POSTPONED] * 2
    assert store.redis.pttl(keys.webhook_breaker("o@example.com")) > 0


def test_failures_that_opened_no_breaker_postpone_nothing(store: Store, hooks: Consumer) -> None:
    store.redis.set(keys.webhook_breaker("o@example.com"), "4 0 1")
    finished(store, hooked())
    assert built(hooks)


def test_redeliveries_and_pings_pass_an_open_breaker(store: Store, hooks: Consumer) -> None:
    made = endpoints.create(store, "o", URL)
    finished(store, SINGLE)
    first = built(hooks)
    record(hooks, [first.attempt(Result.FAILED)])
    open_breaker(store, made.id, 10_000)
    redeliver(store, first.delivery.id, "o")
    replayed = built(hooks)
    assert replayed.attempt(Result.FAILED).entry["trigger"] == "manual"
    ping(store, "o", made.id)
    pinged = built(hooks)
    assert orjson.loads(pinged.body)["type"] == "ping"
    assert orjson.loads(pinged.body)["data"] == {"id": made.id}
    assert pinged.attempt(Result.SUCCEEDED).entry["trigger"] == "test"


def test_a_delivery_that_waits_for_its_breaker_longer_than_the_schedule_is_given_up(
    store: Store, hooks: Consumer
) -> None:
    job_id = finished(store, hooked())
    lasts_s = sum(store.settings.webhook_schedule_s) + GRACE_S
    created = store.now_us() - (lasts_s + 1) * 1_000_000
    store.redis.hset(keys.delivery(only(store, job_id).id), "created", created)
    open_breaker(store, "o@example.com", 10_000)
    record(hooks, [refused(hooks)])
    delivery = only(store, job_id)
    assert (delivery.status, delivery.log[0]["error"]) == ("failed", "endpoint_unavailable")


def test_without_the_key_of_its_secret_a_delivery_waits_for_the_operator(store: Store) -> None:
    endpoints.create(store, "o", URL)
    finished(store, SINGLE)
    other = Store(store.redis, replace(store.settings, webhook_key="another-key-of-webhooks"))
    attempt = refused(Consumer(other, Lane.WEBHOOKS))
    assert (attempt.result, attempt.wait_ms >= 60_000) == (Result.POSTPONED, True)


def test_the_requests_of_a_claim_are_built_in_one_round_trip(
    store: Store, hooks: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints.create(store, "o", URL)
    job_secrets(store, "o")
    for _ in range(5):
        finished(store, hooked())
    units: Sequence[Any] = claim(hooks)
    assert len(units) == 10
    build_requests(hooks, [])  # the script is loaded now
    asked = []
    execute = store.execute

    def noted(*command: Any) -> Any:
        asked.append(command)
        return execute(*command)

    monkeypatch.setattr(store, "execute", noted)
    requests, _ = build_requests(hooks, units)
    assert (len(requests), len(asked)) == (10, 1)

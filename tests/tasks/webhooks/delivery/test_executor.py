"""The delivery executor against a receiver: what was sent is recorded, whatever happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from standardwebhooks import Webhook

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks import endpoints
from tasks.webhooks.deliveries import Delivery, deliveries_of, ping, read_delivery, redeliver
from tasks.webhooks.delivery import attempts, dispatcher, request, result_writer
from tasks.webhooks.delivery import executor as executor_module
from tasks.webhooks.delivery.executor import DeliveryExecutor
from tasks.webhooks.delivery.http_client import DeliveryResponse, WebhookClient
from tasks.webhooks.owner_secrets import job_secrets
from tests.app.conftest import Deaf
from tests.eventually import eventually
from tests.receiver import Receiver, answer, hang
from tests.tasks.lanes import SINGLE, claim, done, put

CELERY: Any = Deaf()
HOUR_MS = 3_600_000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(
        settings,
        webhook_http_hosts=("127.0.0.1",),
        webhook_timeout_ms=10_000,
        linger_ms=0,
        breaker_failures=3,
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@contextmanager
def started(
    store: Store, make_client: Callable[[Settings], WebhookClient] = WebhookClient, **changes: Any
) -> Iterator[DeliveryExecutor]:
    changed = Store(store.redis, replace(store.settings, **changes))
    executor = DeliveryExecutor(Consumer(changed, Lane.WEBHOOKS), CELERY, make_client)
    try:
        yield executor
    finally:
        executor.stop()


def finished(store: Store, *urls: str) -> list[str]:
    """Ids of finished jobs, each with its own webhook."""
    ids = []
    for url in urls:
        webhook = {"url": url, "events": ["job.succeeded"]}
        submission = replace(SINGLE, spec=replace(SINGLE.spec, webhook=webhook))
        ids.append(put(store, submission).job_id)
    gpu = Consumer(store, Lane.GPU)
    while units := claim(gpu):
        gpu.commit([done(unit) for unit in units])
    return ids


def only(store: Store, job_id: str) -> Delivery:
    (delivery,) = deliveries_of(store, job_id)
    return delivery


def tried(store: Store, job_id: str, times: int = 1) -> Delivery:
    eventually(lambda: only(store, job_id).tries >= times, f"attempt {times}")
    return only(store, job_id)


def test_a_delivery_arrives_signed_and_is_recorded(store: Store, receiver: Receiver) -> None:
    (job_id,) = finished(store, receiver.url)
    with started(store) as executor:
        assert executor.run_batches() == 1
        delivery = tried(store, job_id)
    (got,) = receiver.got
    (secret,) = job_secrets(store, "o")
    assert Webhook(secret).verify(got.body, dict(got.headers))["data"]["id"] == job_id
    assert (got.id, delivery.status) == (delivery.id, "succeeded")
    (entry,) = delivery.log
    assert (entry["status"], entry["error"]) == (204, None)
    assert entry["ms"] > 0


def test_a_failed_delivery_waits_for_its_next_attempt(store: Store, receiver: Receiver) -> None:
    receiver.behave = answer(500, body=b"secret stack trace")
    (job_id,) = finished(store, receiver.url)
    with started(store) as executor:
        executor.run_batches()
        delivery = tried(store, job_id)
        assert (delivery.status, delivery.log[0]["error"]) == ("queued", "bad_status")
        now_ms = store.now_us() // 1000
        assert delivery.next is not None
        assert 4_000 <= delivery.next - now_ms <= 5_500
        receiver.behave = answer(204)
        redeliver(store, delivery.id, "o")
        executor.run_batches()
        again = tried(store, job_id, 2)
    assert again.status == "succeeded"
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    shown = store.redis.hgetall(keys.delivery(delivery.id))
    assert "stack trace" not in str(shown)
    assert "127.0.0.1" not in again.log[0]["error"]


def test_many_requests_run_at_once_and_all_arrive(store: Store, receiver: Receiver) -> None:
    urls = [f"http://127.0.0.1:{receiver.port}/{n}" for n in range(300)]
    ids = finished(store, *urls)
    with started(store) as executor:
        while executor.run_batches():
            pass
        for job_id in ids:
            assert tried(store, job_id).status == "succeeded"
    assert set(receiver.ids.values()) == {1}
    assert len(receiver.ids) == 300
    assert receiver.connections <= store.settings.webhook_line_concurrency


def test_410_disables_the_endpoint(store: Store, receiver: Receiver) -> None:
    receiver.behave = answer(410)
    made = endpoints.create(store, "o", receiver.url)
    (job_id,) = finished(store, receiver.url)
    with started(store) as executor:
        executor.run_batches()
        eventually(lambda: len(receiver.got) == 2, "both deliveries")
        eventually(lambda: not store.redis.exists(keys.hooks("o")), "the endpoint disabled")
    found = endpoints.find(store, "o", made.id)
    assert found is not None
    assert (found.enabled, found.disabled_reason) == (False, endpoints.GONE)
    assert {one.status for one in deliveries_of(store, job_id)} == {"failed"}


def test_the_owners_other_endpoints_get_an_event_when_one_is_disabled(
    store: Store, receiver: Receiver
) -> None:
    receiver.behave = answer(410)
    with Receiver() as other:
        gone = endpoints.create(store, "o", receiver.url, ["job.succeeded"])
        endpoints.create(store, "o", other.url, ["job.failed"])
        endpoints.create(store, "somebody", other.url)
        finished(store, receiver.url)
        with started(store) as executor:
            executor.run_batches()
            eventually(lambda: endpoints.find(store, "o", gone.id).enabled is False, "its end")  # type: ignore[union-attr]
            eventually(lambda: executor.run_batches() or other.got, "the news")
            (news,) = [json.loads(got.body) for got in other.got]
    assert news["type"] == "webhook_endpoint.disabled"
    assert news["data"] == {"id": gone.id, "url": receiver.url, "disabled_reason": "gone"}


def test_an_endpoint_that_has_failed_for_days_is_disabled(store: Store, receiver: Receiver) -> None:
    receiver.behave = answer(500)
    made = endpoints.create(store, "o", receiver.url)
    days_ms = store.settings.webhook_failing_s * 1000

    def wait_for_attempts(job_id: str) -> None:
        eventually(lambda: all(one.tries for one in deliveries_of(store, job_id)), "attempts")

    now_ms = store.now_us() // 1000
    with started(store) as executor:
        for since, enabled in ((days_ms - 60_000, True), (days_ms + 1, False)):
            store.redis.hset(keys.WEBHOOKS_FAILING, made.id, f"{now_ms - since} {now_ms}")
            job_id = put(store).job_id
            finished(store)
            executor.run_batches()
            wait_for_attempts(job_id)
            if not enabled:
                eventually(lambda: not store.redis.exists(keys.hooks("o")), "the end of it")
            assert store.redis.hexists(keys.hooks("o"), made.id) is enabled
    found = endpoints.find(store, "o", made.id)
    assert found is not None
    assert found.disabled_reason == endpoints.FAILING


def test_a_dead_endpoint_gets_no_more_requests_and_the_others_do(
    store: Store, receiver: Receiver
) -> None:
    dead = finished(store, *["http://127.0.0.1:1/dead"] * 10)
    with started(store) as executor:
        executor.run_batches()
        eventually(
            lambda: all(only(store, one).next for one in dead), "all deliveries to the dead one"
        )
        tries = sum(only(store, one).tries for one in dead)
        assert store.settings.breaker_failures <= tries < 10
        (alive,) = finished(store, receiver.url)
        executor.run_batches()
        assert tried(store, alive).status == "succeeded"
    assert {only(store, one).status for one in dead} == {"queued"}


def hanging_targets(store: Store, hanging: Receiver, count: int) -> None:
    """Endpoints at one receiver, each a target of its own, as if at different hosts."""
    for n in range(count):
        endpoint = endpoints.create(store, "x", hanging.url)
        text = str(store.redis.hget(keys.endpoints("x"), endpoint.id))
        store.redis.hset(keys.endpoints("o"), f"we_{n}", text)
        store.redis.hset(keys.hooks("o"), f"we_{n}", "job.succeeded")


def test_endpoints_that_hang_leave_room_for_those_that_answer(
    store: Store, receiver: Receiver
) -> None:
    with (
        Receiver(hang) as hanging,
        started(store, webhook_concurrency=8, webhook_timeout_ms=60_000) as executor,
    ):
        finished(store, receiver.url)
        executor.run_batches()
        eventually(lambda: receiver.got, "a first delivery")
        hanging_targets(store, hanging, 8)
        finished(store, *[receiver.url] * 5)
        executor.run_batches()
        eventually(lambda: len(receiver.ids) == 6, "deliveries beside them")
        eventually(lambda: len(hanging.got) == 6, "endpoints that hang")
        hanging.stop()


def test_a_ping_is_tried_once(store: Store, receiver: Receiver) -> None:
    receiver.behave = answer(500)
    made = endpoints.create(store, "o", receiver.url)
    sent = ping(store, "o", made.id)

    def ended() -> bool:
        found = read_delivery(store, sent.id)
        return found is not None and found.status == "failed"

    with started(store) as executor:
        executor.run_batches()
        eventually(ended, "the end of the ping")
    assert len(receiver.got) == 1


def test_it_is_idle_between_claims_while_requests_run(store: Store, receiver: Receiver) -> None:
    receiver.behave = hang
    finished(store, receiver.url)
    with started(store, webhook_timeout_ms=500) as executor:
        executor.run_batches()
        eventually(lambda: receiver.got, "an attempt under way")
        assert executor.idle_s > 0
        assert executor.busy_s < 5
        assert executor.stuck_s == 0
        assert executor.stop_draining(1) is True
        assert executor.run_batches() == 0
        assert executor.idle_s == 0
        executor._draining.release()


def test_a_blocked_event_loop_counts_as_busy(store: Store) -> None:
    held = threading.Event()

    class Stuck(WebhookClient):
        async def send(self, *_: Any) -> DeliveryResponse:
            held.wait(30)
            return DeliveryResponse(200, None, 1)

    finished(store, "http://127.0.0.1:1/")
    with started(store, Stuck, webhook_timeout_ms=100) as executor:
        try:
            executor.run_batches()
            eventually(lambda: executor.busy_s > dispatcher.BEAT_S + 0.5, "a late heart-beat")
            eventually(lambda: executor.stuck_s > 0.5, "an attempt beyond its deadline")
        finally:
            held.set()
        eventually(lambda: executor.busy_s < dispatcher.BEAT_S + 0.5, "a heart-beat")


def test_stop_waits_for_running_requests_and_releases_the_rest(
    store: Store, receiver: Receiver
) -> None:
    begun = threading.Event()

    class Slow(WebhookClient):
        async def send(self, *args: Any) -> DeliveryResponse:
            begun.set()
            return await super().send(*args)

    ids = finished(store, *[receiver.url] * 10)
    with started(store, Slow, webhook_line_concurrency=1) as executor:
        executor.run_batches()
        begun.wait()
    tries = [only(store, job_id).tries for job_id in ids]
    assert len(receiver.got) == sum(tries) >= 1
    other = Consumer(store, Lane.WEBHOOKS)
    back = claim(other)
    assert len(back) == 10 - sum(tries)
    assert {unit.attempt for unit in back} <= {1}


def test_an_outage_of_redis_while_results_are_recorded_loses_nothing(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_writer, "RETRY_S", 0.01)
    failures = iter(range(3))
    record = attempts.record

    def flaky(*args: Any) -> Any:
        if next(failures, None) is not None:
            raise RedisConnectionError("away")
        return record(*args)

    monkeypatch.setattr(result_writer, "record", flaky)
    (job_id,) = finished(store, receiver.url)
    with started(store) as executor:
        executor.run_batches()
        assert tried(store, job_id).status == "succeeded"
    assert set(receiver.ids.values()) == {1}


def test_an_outage_while_requests_are_built_leaves_the_units_to_their_leases(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise RedisConnectionError("away")

    (job_id,) = finished(store, receiver.url)
    with started(store, lease_ms=1_000, renew_ms=500) as executor:
        monkeypatch.setattr(executor_module, "build_requests", away)
        with pytest.raises(RedisConnectionError):
            executor.run_batches()
        assert executor._held == 0
        monkeypatch.setattr(executor_module, "build_requests", request.build_requests)
        eventually(executor.run_batches, "the unit again")
        assert tried(store, job_id).status == "succeeded"

"""Webhooks on a real worker: whatever befalls receivers or workers, each event arrives.

Deliveries may be made twice, always under the same id. Jobs are ended here, by the scripts that end
them, so that only what is tested runs beside the test; one test has them ended by a gpu worker.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tasks.celery import make_celery
from tasks.jobs.lanes import Lane
from tasks.jobs.submit import new_job_id, submit
from tasks.queue.consumer import Consumer
from tasks.queue.wakeups import wake
from tasks.webhooks.deliveries import Delivery, deliveries_of
from tests.eventually import eventually
from tests.faults.report import Report
from tests.receiver import Behaviour, Flood, Got, Receiver, answer, hang, reset, trickle
from tests.stack import Stack
from tests.tasks.lanes import SINGLE, done

pytestmark = pytest.mark.timeout(120)

HEALTHY, DEAD = 200, 50
PER_S, BATCH = 200, 10
MOST_MEMORY_OF_A_GIGABYTE = 64 * 2**20


class Ender:
    """Submits jobs with webhooks of their own, and ends them. ended: when each did, by its id."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.celery = make_celery(stack.settings)
        self.gpu = Consumer(stack.store, Lane.GPU)
        self.ended: dict[str, float] = {}

    def end(self, *urls: str, owners: Sequence[str] = ("o",)) -> list[str]:
        """One job for each URL and owner; their ids."""
        ids = [self.put(url, owner) for url in urls for owner in owners]
        while units := self.gpu.claim(64, 0).units:
            self.ended |= dict.fromkeys((unit.job for unit in units), time.monotonic())
            if self.gpu.commit([done(unit) for unit in units]).wake:
                wake(self.celery, Lane.WEBHOOKS)
        return ids

    def put(self, url: str, owner: str = "o") -> str:
        webhook = {"url": url, "events": ["job.succeeded"]}
        spec = replace(SINGLE.spec, owner=owner, webhook=webhook)
        return submit(self.stack.store, replace(SINGLE, spec=spec), new_job_id()).job_id

    def of(self, job_id: str) -> Delivery:
        (delivery,) = deliveries_of(self.stack.store, job_id)
        return delivery

    def wait_for(self, ids: Sequence[str], status: str = "succeeded", tries: int = 1) -> None:
        for job_id in ids:
            eventually(
                lambda job=job_id: (  # type: ignore[misc]
                    (found := self.of(job)).status == status and found.tries >= tries
                ),
                f"{status} after {tries} or more attempts: {job_id}",
            )


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis and a worker of webhooks; the days of the schedule are seconds here."""
    stack = Stack(
        tmp_path_factory.mktemp("webhooks"),
        "tests.pipelines:slow",
        webhook_http_hosts=("127.0.0.1",),
        webhook_schedule_s=(1,) * 20,
        webhook_timeout_ms=1_500,
        breaker_cool_down_ms=250,
        lease_ms=2_000,
        renew_ms=500,
        sweep_ms=100,
        rescue_ms=1_000,
    )
    try:
        stack.start("redis")
        stack.start("webhooks")
        eventually(lambda: stack.alive("webhooks"), "a worker of webhooks", within_s=60)
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def ender(hooks: Stack) -> Ender:
    return Ender(hooks)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def lost(receiver: Receiver, ids: Sequence[str]) -> int:
    wanted = {f"msg_{job_id.removeprefix('job_')}_job" for job_id in ids}
    assert receiver.ids.keys() <= wanted, "an id that no delivery has"
    return len(wanted - receiver.ids.keys())


def one_body_for_each_id(receiver: Receiver) -> bool:
    return len({(got.id, got.body) for got in receiver.got}) == len(receiver.ids)


def test_the_end_of_a_job_on_a_worker_reaches_its_receiver(
    hooks: Stack, ender: Ender, receiver: Receiver
) -> None:
    hooks.start("gpu")
    try:
        eventually(lambda: hooks.alive("gpu"), "a gpu worker", within_s=60)
        webhook = {"url": receiver.url, "events": ["job.succeeded"]}
        spec = replace(SINGLE.spec, pipeline="slow", webhook=webhook)
        receipt = submit(hooks.store, replace(SINGLE, spec=spec), new_job_id())
        wake(ender.celery, receipt.lane)
        eventually(lambda: deliveries_of(hooks.store, receipt.job_id), "the end of the job")
        ender.wait_for([receipt.job_id])
        assert "for development only" in hooks.log("webhooks")
    finally:
        hooks.stop("gpu")
    assert lost(receiver, [receipt.job_id]) == 0


def test_events_wait_for_a_receiver_that_is_down(
    ender: Ender, receiver: Receiver, report: Report
) -> None:
    receiver.stop()
    ids = ender.end(*[receiver.url] * 200)
    eventually(lambda: sum(ender.of(one).tries for one in ids) >= 10, "attempts that failed")
    receiver.start()
    began = time.monotonic()
    ender.wait_for(ids)
    took = time.monotonic() - began
    assert lost(receiver, ids) == 0
    assert one_body_for_each_id(receiver)
    report(
        "a receiver down, then up",
        events=len(ids),
        lost=0,
        duplicates=len(receiver.got) - len(ids),
        all_delivered_s=took,
    )


FAULTS: dict[str, Behaviour] = {
    "500": answer(500),
    "301": answer(301, "Location: http://127.0.0.1:1/"),
    "a reset": reset,
    "one byte a second": trickle,
    "500 and a gigabyte": Flood(500),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_events_survive_a_receiver_that_fails(
    hooks: Stack, ender: Ender, receiver: Receiver, report: Report, fault: str
) -> None:
    receiver.behave = FAULTS[fault]
    child = hooks.pool_child("webhooks")
    before = child.memory_info().rss
    ids = ender.end(*[receiver.url] * 5)
    eventually(lambda: max(ender.of(one).tries for one in ids) >= 2, "second attempts")
    grown = child.memory_info().rss - before
    receiver.behave = answer(204)
    ender.wait_for(ids)
    assert lost(receiver, ids) == 0
    assert one_body_for_each_id(receiver)
    assert grown < MOST_MEMORY_OF_A_GIGABYTE
    assert hooks.pool_child("webhooks").pid == child.pid
    report(f"a receiver that answers with {fault}", events=5, lost=0, requests=len(receiver.got))


def test_a_gigabyte_after_a_200_is_a_success(ender: Ender, receiver: Receiver) -> None:
    flood = Flood(200)
    receiver.behave = flood
    ids = ender.end(receiver.url)
    ender.wait_for(ids)
    assert (len(receiver.got), ender.of(ids[0]).tries) == (1, 1)
    assert flood.sent < 2**26


def test_what_was_sent_by_a_worker_that_died_is_sent_again_under_its_id(
    hooks: Stack, ender: Ender, receiver: Receiver, report: Report
) -> None:
    """SIGKILL after the POST was answered and before that was recorded."""
    child = hooks.pool_child("webhooks")
    answered = answer(200)

    async def freeze_then_answer(writer: asyncio.StreamWriter, got: Got) -> None:
        child.suspend()
        await answered(writer, got)

    receiver.behave = freeze_then_answer
    ids = ender.end(*[receiver.url] * 20)
    eventually(lambda: receiver.got, "a POST")
    first = set(receiver.ids)
    receiver.behave = answered
    began = time.monotonic()
    child.kill()
    ender.wait_for(ids)
    took = time.monotonic() - began
    assert lost(receiver, ids) == 0
    assert one_body_for_each_id(receiver)
    again = {one for one, times in receiver.ids.items() if times > 1}
    assert again >= first
    assert max(receiver.ids.values()) == 2
    report(
        "SIGKILL of a worker between POST and record",
        events=len(ids),
        lost=0,
        sent_again_under_the_same_id=len(again),
        recovered_s=took,
    )


def test_a_worker_that_is_told_to_stop_finishes_what_it_has_begun(
    hooks: Stack, ender: Ender, receiver: Receiver
) -> None:
    async def slow(writer: asyncio.StreamWriter, got: Got) -> None:
        await asyncio.sleep(0.5)
        await answer(204)(writer, got)

    receiver.behave = slow
    ids = ender.end(*[receiver.url] * 50)
    eventually(lambda: receiver.got, "a POST")
    hooks.stop("webhooks")
    stopped_at = len(receiver.got)
    assert stopped_at < len(ids)
    assert sum(ender.of(one).status == "succeeded" for one in ids) == stopped_at
    receiver.behave = answer(204)
    hooks.start("webhooks")
    ender.wait_for(ids)
    assert receiver.ids == Counter(dict.fromkeys(receiver.ids, 1))
    assert lost(receiver, ids) == 0


def steadily(ender: Ender, url: str, owners: Sequence[str]) -> list[str]:
    """Three jobs of each owner, 200 a second: a load that leaves the machine room."""
    ids: list[str] = []
    began = time.monotonic()
    for turn in range(3 * len(owners) // BATCH):
        time.sleep(max(0.0, began + turn * BATCH / PER_S - time.monotonic()))
        first = turn * BATCH % len(owners)
        ids += ender.end(url, owners=owners[first : first + BATCH])
    return ids


def p99_ms(ender: Ender, receiver: Receiver, ids: Sequence[str]) -> float:
    arrived = {got.id: got.at for got in reversed(receiver.got)}
    waits = [arrived[ender.of(one).id] - ender.ended[one] for one in ids]
    return statistics.quantiles(waits, n=100)[98] * 1000


def test_dead_endpoints_do_not_slow_the_healthy_ones(
    ender: Ender, receiver: Receiver, report: Report
) -> None:
    """Half of the dead refuse connections, half never answer. Every owner has a line of its own."""
    healthy = [f"healthy{n}" for n in range(HEALTHY)]
    figures: dict[bool, list[float]] = {True: [], False: []}
    sent: list[str] = []
    dead: list[str] = []
    with ExitStack() as context:
        hanging = context.enter_context(Receiver(hang))
        refusing = context.enter_context(Receiver())
        refusing.stop()
        ender.wait_for(ender.end(receiver.url, owners=healthy))
        receiver.got.clear()
        for beside_dead in (False, True, True, False):
            if beside_dead:
                for url in (hanging.url, refusing.url):
                    owners = [f"dead{n}" for n in range(DEAD // 2)]
                    dead += ender.end(*[url] * 2, owners=owners)
            ids = steadily(ender, receiver.url, healthy)
            ender.wait_for(ids)
            figures[beside_dead].append(p99_ms(ender, receiver, ids))
            sent += ids
        hanging.behave = answer(204)
        refusing.start()
        ender.wait_for(dead)
        revived = hanging.ids + refusing.ids
    assert lost(receiver, sent) == 0
    assert one_body_for_each_id(receiver)
    assert revived.keys() == {ender.of(one).id for one in dead}
    alone, beside = statistics.median(figures[False]), statistics.median(figures[True])
    report(
        f"{HEALTHY} healthy endpoints beside {DEAD} dead ones",
        events=len(sent) + len(dead),
        lost=0,
        p99_alone_ms=alone,
        p99_beside_them_ms=beside,
        ratio=f"{beside / alone:.2f}",
    )

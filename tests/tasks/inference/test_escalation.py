"""Escalation: units that the cpu lane is not sure of go to the gpu lane, in one script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from ml.pipeline import Mode
from ml.serving.runtime import Runtime
from tasks.inference.executor import InferenceExecutor
from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Job, Status
from tasks.jobs.read import read_results
from tasks.jobs.submit import Receipt
from tasks.queue.consumer import Consumer
from tasks.queue.units import Escalation
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import BREAKER_RECORD, BreakerRecordArgs
from tests.tasks.inference.test_executor import Wakes
from tests.tasks.lanes import SINGLE, bulk, claim, counts, crash, done, job_of, put
from tests.tasks.routed import routed

EASY, HARD = "easy", "this is a hard one"
ROUTED = replace(
    SINGLE,
    spec=replace(SINGLE.spec, pipeline="routed"),
    lane=Lane.CPU,
    cpu_may_serve=True,
    breaker="routed/big",
)


class Both:
    """An executor for each lane, run by hand."""

    def __init__(self, store: Store) -> None:
        quick = Store(store.redis, replace(store.settings, linger_ms=0))
        self.store = store
        self.wakes = Wakes()
        self.workers = {lane: Consumer(quick, lane) for lane in (Lane.GPU, Lane.CPU)}
        self._inferences = {
            lane: InferenceExecutor(
                self.workers[lane],
                {"routed": Runtime.load(routed, "cpu", top)},
                self.wakes,  # type: ignore[arg-type]
            )
            for lane, top in ((Lane.GPU, None), (Lane.CPU, "small"))
        }

    def alive(self, lane: Lane) -> None:
        self.workers[lane].renew()

    def run(self, lane: Lane) -> int:
        return self._inferences[lane].run_batches()


@pytest.fixture
def both(store: Store) -> Both:
    both = Both(store)
    both.alive(Lane.CPU)
    return both


def ask(store: Store, text: str, **options: Any) -> Receipt:
    spec = replace(ROUTED.spec, options=options)
    return put(store, replace(ROUTED, spec=spec, inputs=[{"text": text}]))


def output_of(job: Job) -> Mapping[str, Any]:
    assert job.status is Status.SUCCEEDED
    assert job.outcome is not None
    output: Mapping[str, Any] = job.outcome["output"]
    return output


def series(store: Store, name: str) -> int:
    return int(store.redis.hget("ps:series", name) or 0)


def test_the_cpu_lane_answers_what_it_is_sure_of(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    receipt = ask(store, EASY)
    both.run(Lane.CPU)
    output = output_of(job_of(store, receipt))
    assert (output["tier"], output["degraded"]) == ("small", False)


def test_an_unsure_unit_escalates_and_the_job_keeps_its_attempts_and_deadline(
    store: Store, both: Both
) -> None:
    both.alive(Lane.GPU)
    receipt = put(store, replace(ROUTED, inputs=[{"text": HARD}], deadline_ms=60_000))
    deadline = store.redis.hget(keys.job(receipt.job_id), "deadline")
    both.run(Lane.CPU)
    waiting = job_of(store, receipt)
    assert (waiting.status, waiting.lane, waiting.attempts) == (Status.RUNNING, "gpu", 1)
    assert both.wakes.sent == ["penstock.gpu"]
    assert store.redis.hget(keys.job(receipt.job_id), "deadline") == deadline
    both.run(Lane.GPU)
    job = job_of(store, receipt)
    assert (output_of(job)["tier"], output_of(job)["degraded"], job.attempts) == ("big", False, 1)
    assert counts(store) == {"succeeded": 1}
    assert series(store, "escalations|routed") == 1
    assert series(store, "predictions|routed|small|builtin|succeeded") == 0


def test_an_escalated_unit_is_no_suspect(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    for number in range(3):
        ask(store, f"{HARD} {number}")
    both.run(Lane.CPU)
    units = claim(both.workers[Lane.GPU])
    assert [unit.attempt for unit in units] == [1, 1, 1]


def test_a_suspect_stays_a_suspect_when_it_escalates(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    neighbour = replace(ROUTED, lane=Lane.GPU, inputs=[{"text": f"{HARD} too"}])
    put(store, neighbour)
    dead = Consumer(store, Lane.CPU)
    ask(store, HARD)
    claim(dead)
    crash(store, dead)
    both.run(Lane.CPU)
    put(store, neighbour)
    gpu = both.workers[Lane.GPU]
    assert [[unit.attempt for unit in claim(gpu)] for _ in range(3)] == [[1, 1], [2], []]


def test_of_many_items_only_unsure_ones_are_asked_again_and_each_counts_once(
    store: Store, both: Both
) -> None:
    both.alive(Lane.GPU)
    spec = replace(bulk(8).spec, pipeline="routed", unit_items=8)
    texts = [EASY, HARD, "fine", HARD, "ok", f"{HARD} again", "so so", EASY]
    inputs = [{"text": text} for text in texts]
    receipt = put(store, replace(ROUTED, spec=spec, inputs=inputs))
    both.run(Lane.CPU)
    both.run(Lane.GPU)
    lines = list(read_results(store, job_of(store, receipt)))
    assert [line["output"]["length"] for line in lines] == list(map(len, texts))
    tiers = ["big" if text.startswith(HARD) else "small" for text in texts]
    assert [line["output"]["tier"] for line in lines] == tiers
    assert series(store, "predictions|routed|big|builtin|succeeded") == 3
    assert series(store, "predictions|routed|small|builtin|succeeded") == 5
    assert series(store, "cache_misses|routed") == 8


def test_a_cached_answer_stays_when_another_item_escalates(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    ask(store, EASY)
    both.run(Lane.CPU)
    spec = replace(bulk(3).spec, pipeline="routed", unit_items=8)
    inputs = [{"text": text} for text in (EASY, HARD, "fine")]
    receipt = put(store, replace(ROUTED, spec=spec, inputs=inputs))
    both.run(Lane.CPU)
    both.run(Lane.GPU)
    job = job_of(store, receipt)
    tiers = [line["output"]["tier"] for line in read_results(store, job)]
    assert (job.status, tiers) == (Status.SUCCEEDED, ["small", "big", "small"])
    assert series(store, "cache_hits|routed") == 1
    assert series(store, "predictions|routed|small|builtin|cached") == 1


def test_with_an_open_breaker_the_answer_stays_and_only_the_gpu_lane_probes(
    store: Store, both: Both
) -> None:
    both.alive(Lane.GPU)
    failures, cool_down_ms = store.settings.breaker_failures, store.settings.breaker_cool_down_ms
    for _ in range(failures):
        store.run(BREAKER_RECORD, BreakerRecordArgs("routed/big", 0, failures, cool_down_ms))
    receipt = ask(store, HARD)
    both.run(Lane.CPU)
    assert output_of(job_of(store, receipt))["reason"] == "breaker_open"
    store.redis.hset(keys.BREAKERS, "routed/big", f"{store.settings.breaker_failures} 1")
    second = ask(store, HARD)
    both.run(Lane.CPU)
    both.run(Lane.GPU)
    output = output_of(job_of(store, second))
    assert (output["tier"], output["degraded"]) == ("big", False)
    assert not store.redis.hexists(keys.BREAKERS, "routed/big")


def test_without_a_gpu_worker_the_answer_stays_marked_as_degraded(store: Store, both: Both) -> None:
    receipt = ask(store, HARD)
    both.run(Lane.CPU)
    output = output_of(job_of(store, receipt))
    assert (output["tier"], output["degraded"], output["reason"]) == (
        "small",
        True,
        "no_gpu_worker",
    )
    both.alive(Lane.GPU)
    again = ask(store, HARD)
    both.run(Lane.CPU)
    both.run(Lane.GPU)
    assert (
        output_of(job_of(store, again))["tier"] == "big"
    )  # the lower tier's answer was not cached


def test_a_unit_moved_from_the_gpu_lane_does_not_escalate_back_to_it(
    store: Store, both: Both
) -> None:
    both.alive(Lane.GPU)
    receipt = ask(store, HARD)
    stream = keys.stream(Lane.CPU, ROUTED.priority)
    ((entry, fields),) = cast("list[tuple[str, dict[Any, Any]]]", store.redis.xrange(stream))
    store.redis.xdel(stream, entry)
    store.redis.xadd(stream, {**fields, "reason": "gpu_backlog"})  # as the sweep moves it
    both.run(Lane.CPU)
    assert output_of(job_of(store, receipt))["reason"] == "gpu_backlog"


@pytest.mark.parametrize(("mode", "tier"), [("cheap", "small"), ("balanced", "big")])
def test_in_cheap_mode_the_answer_stays_and_is_cached_separately(
    store: Store, both: Both, mode: Mode, tier: str
) -> None:
    both.alive(Lane.GPU)
    cheap = ask(store, HARD, mode="cheap")
    both.run(Lane.CPU)
    output = output_of(job_of(store, cheap))
    assert (output["tier"], output["degraded"]) == ("small", False)
    second = ask(store, HARD, mode=mode)
    both.run(Lane.CPU)
    both.run(Lane.GPU)
    assert output_of(job_of(store, second))["tier"] == tier


def test_a_cancelled_job_does_not_escalate(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    receipt = ask(store, HARD)
    (unit,) = claim(both.workers[Lane.CPU])
    cancel_job(store, receipt.job_id)
    settled = replace(done(unit), escalation=Escalation(unit.payload, "routed/big"))
    both.workers[Lane.CPU].commit([settled])
    assert claim(both.workers[Lane.GPU]) == []
    assert counts(store) == {"cancelled": 1}


def test_a_repeated_commit_does_not_escalate_twice(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    ask(store, HARD)
    (unit,) = claim(both.workers[Lane.CPU])
    settled = replace(done(unit), escalation=Escalation(unit.payload, "routed/big"))
    assert both.workers[Lane.CPU].commit([settled]).stale == 0
    assert both.workers[Lane.CPU].commit([settled]).stale == 1
    assert len(claim(both.workers[Lane.GPU])) == 1


def test_jobs_of_a_dead_cpu_lane_are_served_by_the_gpu_lane(store: Store, both: Both) -> None:
    both.alive(Lane.GPU)
    both.workers[Lane.CPU].deregister()
    assert ask(store, EASY).lane is Lane.GPU
    both.alive(Lane.CPU)
    assert ask(store, EASY).lane is Lane.CPU

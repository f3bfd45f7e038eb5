from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from ml.pipeline import TierRef
from ml.serving.runtime import Runtime
from tasks.inference.executor import InferenceExecutor
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Status
from tasks.jobs.read import read_results
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tests.envelopes import arrived, installed
from tests.tasks.lanes import SINGLE, bulk, counts, job_of, put
from tests.tasks.toys import Counting, pipeline

TOY = replace(SINGLE, spec=replace(SINGLE.spec, pipeline="toy"))


class Wakes:
    """Stands in for Celery: records the lanes that are woken."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send_task(self, _: str, **message: Any) -> None:
        self.sent.append(message["queue"])


@pytest.fixture
def runtime() -> Runtime:
    return Runtime.load(pipeline, "cpu")


@pytest.fixture
def inference(store: Store, runtime: Runtime) -> InferenceExecutor:
    settings = replace(store.settings, linger_ms=0)
    consumer = Consumer(Store(store.redis, settings), Lane.GPU)
    return InferenceExecutor(consumer, {"toy": runtime}, Wakes())  # type: ignore[arg-type]


def asked(runtime: Runtime) -> list[str]:
    tier = runtime.cascade.tiers[0].tier
    assert isinstance(tier, Counting)
    return tier.asked


def toy(text: str) -> Any:
    return replace(TOY, inputs=[{"text": text}])


def test_everything_in_the_lane_is_claimed_run_and_committed(
    store: Store, inference: InferenceExecutor
) -> None:
    receipts = {text: put(store, toy(text)) for text in ("a", "bb", "ccc")}
    inference.run_batches()
    for text, receipt in receipts.items():
        job = job_of(store, receipt)
        assert job.status is Status.SUCCEEDED
        assert job.outcome is not None
        assert job.outcome["output"]["length"] == len(text)


def test_a_deep_lane_is_drained_batch_by_batch_each_item_once(
    store: Store, inference: InferenceExecutor, runtime: Runtime
) -> None:
    for number in range(100):
        put(store, toy(f"number {number}"))
    inference.run_batches()
    assert counts(store) == {"succeeded": 100}
    assert Counter(asked(runtime)) == Counter(f"number {n}" for n in range(100))


def test_a_claim_is_as_large_as_the_runtimes_batch(
    store: Store, inference: InferenceExecutor, runtime: Runtime
) -> None:
    runtime.batch_items = 20  # the pipeline says 8
    larger = InferenceExecutor(inference._consumer, {"toy": runtime}, Wakes())  # type: ignore[arg-type]
    for claims, reader in ((3, inference), (1, larger)):
        for number in range(20):
            put(store, toy(f"{claims} {number}"))
        assert reader.run_batches() == claims


def test_bulk_results_come_in_input_order(store: Store, inference: InferenceExecutor) -> None:
    spec = replace(bulk(20).spec, pipeline="toy")
    inputs = [{"text": "x" * (20 - n)} for n in range(20)]
    receipt = put(store, replace(bulk(20), spec=spec, inputs=inputs))
    inference.run_batches()
    lines = read_results(store, job_of(store, receipt))
    assert [line["output"]["length"] for line in lines] == list(range(20, 0, -1))


def test_equal_questions_of_a_batch_are_computed_once(
    store: Store, inference: InferenceExecutor, runtime: Runtime
) -> None:
    receipts = [put(store, toy("same")) for _ in range(5)]
    inference.run_batches()
    assert asked(runtime) == ["same"]
    assert all(job_of(store, receipt).status is Status.SUCCEEDED for receipt in receipts)


def test_a_cached_answer_is_not_computed_again_and_is_marked_as_cached(
    store: Store, inference: InferenceExecutor, runtime: Runtime
) -> None:
    put(store, toy("again"))
    inference.run_batches()
    receipt = put(store, toy("again"))
    inference.run_batches()
    assert asked(runtime) == ["again"]
    assert job_of(store, receipt).cached


def test_a_failing_item_does_not_affect_others_and_is_not_cached(
    store: Store, inference: InferenceExecutor, runtime: Runtime
) -> None:
    good, bad = put(store, toy("good")), put(store, toy("bad"))
    inference.run_batches()
    assert job_of(store, good).status is Status.SUCCEEDED
    failed = job_of(store, bad)
    assert failed.status is Status.FAILED
    assert failed.view()["error"]["code"] == "model_error"
    put(store, toy("bad"))
    inference.run_batches()
    assert asked(runtime).count("bad") == 2


def test_items_that_fail_in_the_same_way_are_one_event_with_the_first_job(
    store: Store, inference: InferenceExecutor
) -> None:
    put(store, toy("good"))
    bad = [put(store, toy("bad")) for _ in range(3)]
    with installed(store.settings) as receiver:
        inference.run_batches()
        (event,) = arrived(receiver)
    assert event["tags"]["job"] == bad[0].job_id
    assert (event["tags"]["pipeline"], event["tags"]["stage"]) == ("toy", "counting")


def test_the_tags_of_a_running_batch_are_published_and_then_cleared(
    store: Store, inference: InferenceExecutor
) -> None:
    noted: list[Any] = []
    inference.publish_tags = noted.append
    receipt = put(store, toy("noted"))
    inference.run_batches()
    job = {"pipeline": "toy", "job": receipt.job_id}
    assert noted[0].items() >= job.items()
    assert noted[-1] == {}
    assert inference.current_tags == {}


def test_units_of_a_pipeline_that_is_not_served_fail_with_its_name(
    store: Store, inference: InferenceExecutor
) -> None:
    receipt = put(store, SINGLE)
    inference.run_batches()
    error = job_of(store, receipt).view()["error"]
    assert error["code"] == "unknown_pipeline"
    assert "'null'" in error["message"]


def test_a_wake_up_is_sent_for_units_left_after_the_drain_time(
    store: Store, runtime: Runtime
) -> None:
    settings = replace(store.settings, drain_ms=0)
    wakes = Wakes()
    consumer = Consumer(Store(store.redis, settings), Lane.GPU)
    put(store, toy("left"))
    InferenceExecutor(consumer, {"toy": runtime}, wakes).run_batches()  # type: ignore[arg-type]
    assert wakes.sent == ["penstock.gpu"]
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_units_that_could_not_be_prepared_are_left_to_their_lease(
    store: Store, inference: InferenceExecutor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, toy("lost"))
    monkeypatch.setattr(Runtime, "prepare", _fail)
    with pytest.raises(MemoryError):
        inference.run_batches()
    held = store.redis.xpending_range("ps:lane:gpu:normal", "workers", "-", "+", 1)
    assert len(held) == 1
    assert inference._consumer.drop_leases() == 0


def _fail(*_: object) -> None:
    raise MemoryError


def test_a_lower_tiers_answer_to_a_moved_unit_is_degraded_and_not_cached(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(pipeline), "tiers", (TierRef("best", "none:None"), *pipeline.tiers))
    runtime = Runtime.load(pipeline, "cpu", top="counting")
    settings = replace(store.settings, linger_ms=0)
    cpu = Consumer(Store(store.redis, settings), Lane.CPU)
    cpu.renew()
    receipt = put(store, replace(toy("moved"), cpu_may_serve=True))
    while store.redis.xlen("ps:lane:gpu:normal"):
        store.run(SWEEP, SweepArgs("test", 1, 15_000, 60_000, 0), [list(Lane)])
    InferenceExecutor(cpu, {"toy": runtime}, Wakes()).run_batches()  # type: ignore[arg-type]
    output = job_of(store, receipt).view()["output"]
    assert (output["degraded"], output["reason"]) == (True, "no_gpu_worker")
    assert store.redis.keys("ps:cache:*") == []

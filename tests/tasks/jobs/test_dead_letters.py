from __future__ import annotations

import pytest

from tasks.jobs.dead_letters import NoDeadLetter, dead_letters, requeue
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Status
from tasks.jobs.read import read_job
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tests.tasks.lanes import SINGLE, bulk, claim, claim_until, done, job_of, put, with_lease


def kill_three_workers_over_it(store: Store, job_id: str) -> None:
    short = with_lease(store, 2)
    for _ in range(store.settings.max_attempts):
        claim_until(Consumer(short, Lane.GPU), 1)
    while read_job(store, job_id).status is Status.RUNNING:  # type: ignore[union-attr]
        assert claim(Consumer(short, Lane.GPU)) == []


def test_a_poisonous_unit_is_kept_with_its_input(store: Store) -> None:
    receipt = put(store)
    kill_three_workers_over_it(store, receipt.job_id)
    (letter,) = dead_letters(store)
    assert (letter.job, letter.lane, letter.priority) == (receipt.job_id, "gpu", "normal")
    assert letter.payload.inputs == SINGLE.inputs
    assert letter.spec == SINGLE.spec


def test_a_requeued_unit_runs_as_a_new_job_and_the_old_one_stays_failed(store: Store) -> None:
    receipt = put(store, bulk(2, unit_items=2))
    kill_three_workers_over_it(store, receipt.job_id)
    (new_id,) = requeue(store, receipt.job_id)
    worker = Consumer(store, Lane.GPU)
    (unit,) = claim(worker)
    assert (unit.job, unit.items, unit.attempt) == (new_id, 2, 1)
    worker.commit([done(unit)])
    again = read_job(store, new_id)
    assert again is not None
    assert again.status is Status.SUCCEEDED
    assert job_of(store, receipt).status is Status.FAILED


def test_a_job_without_dead_units_cannot_be_requeued(store: Store) -> None:
    receipt = put(store)
    with pytest.raises(NoDeadLetter, match=receipt.job_id):
        requeue(store, receipt.job_id)

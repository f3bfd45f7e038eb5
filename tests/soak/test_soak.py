"""A short soak, and a ledger that finds what a soak is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.jobs.lanes import Lane
from tasks.jobs.read import read_job
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.webhooks.links import job_document
from tests.soak.__main__ import soak
from tests.soak.ledger import Kind, Ledger
from tests.tasks.lanes import claim, done, put

ALL_SOUND = ["lost 0", "doubled 0", "changed 0", "wrong 0"]


@pytest.mark.full
@pytest.mark.timeout(300)
def test_random_faults_lose_and_double_nothing(tmp_path: Path) -> None:
    verdict = soak(tmp_path, seconds=25, jobs=1_000, seed=7, pause_s=4)
    assert verdict.sound, "\n".join(verdict.lines())
    assert verdict.accepted >= 1_000
    assert sum(verdict.ends.values()) == verdict.accepted


def end(store: Store, text: str = "a text") -> str:
    """The id of a job that ended with an answer to `text`."""
    receipt = put(store)
    worker = Consumer(store, Lane.GPU)
    outcome = {"output": {"echo": text}, "error": None}
    worker.commit([done(unit, outcome) for unit in claim(worker)])
    return receipt.job_id


def ledger_of(job_id: str) -> Ledger:
    ledger = Ledger()
    ledger.accepted(job_id, Kind.PLAIN, "a text", "a key")
    return ledger


def test_a_job_that_ended_as_its_client_saw_is_sound(store: Store) -> None:
    job_id = end(store)
    ledger = ledger_of(job_id)
    job = read_job(store, job_id)
    assert job is not None
    ledger.saw(job_document(job))
    verdict = ledger.reconcile(store)
    assert verdict.sound
    assert verdict.lines() == ["accepted 1: plain succeeded 1", *ALL_SOUND]


def test_a_job_without_record_or_end_is_lost(store: Store) -> None:
    ledger = ledger_of(end(store))
    store.redis.flushall()
    assert len(ledger.reconcile(store).lost) == 1
    assert len(ledger_of(put(store).job_id).reconcile(store).lost) == 1


def test_a_job_that_nobody_was_told_of_is_a_duplicate(store: Store) -> None:
    ledger = ledger_of(end(store))
    end(store)
    assert ledger.reconcile(store).doubled == ["2 ends were counted for 1 jobs"]


def test_an_end_that_changed_after_its_client_saw_it_is_found(store: Store) -> None:
    job_id = end(store)
    ledger = ledger_of(job_id)
    job = read_job(store, job_id)
    assert job is not None
    ledger.saw(job_document(job) | {"status": "failed"})
    assert len(ledger.reconcile(store).changed) == 1


def test_the_answer_to_another_question_is_wrong(store: Store) -> None:
    verdict = ledger_of(end(store, "another text")).reconcile(store)
    assert len(verdict.wrong) == 1
    assert not verdict.sound

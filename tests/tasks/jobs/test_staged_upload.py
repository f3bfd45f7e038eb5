"""Staged uploads: stored unit by unit, not visible before the job is submitted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane
from tasks.jobs.payload import Payload
from tasks.jobs.staged_upload import StagedUpload, TooLarge
from tasks.jobs.submit import (
    Idempotency,
    IdempotencyMismatch,
    InFlight,
    Submission,
    Unstaged,
    new_job_id,
    submit,
)
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tests.tasks.lanes import bulk, claim, done, job_of

KEY = Idempotency("the-key", "digest-of-the-body")
REJECTED = {"1": {"code": "invalid_input", "message": "no"}}


def part(*texts: str, rejected: dict[str, Any] | None = None) -> Payload:
    inputs = [{"text": text} for text in texts]
    return Payload("null", {}, inputs, None, rejected or {})


def started(store: Store, key: Idempotency | None = None) -> tuple[str, StagedUpload]:
    job_id = new_job_id()
    return job_id, StagedUpload(store, job_id, "o", key.key if key else None)


def whole(upload: StagedUpload, key: Idempotency | None = None) -> Submission:
    return replace(bulk(0), staged=upload.units, idempotency=key)


def test_a_staged_job_is_claimed_with_its_payloads(store: Store) -> None:
    job_id, upload = started(store)
    assert upload.add(part("a", "b")) is True
    assert upload.add(part("c", rejected=REJECTED)) is True
    receipt = submit(store, whole(upload), job_id)
    assert job_of(store, receipt).total == 4
    worker = Consumer(store, Lane.GPU)
    units = claim(worker)
    assert [unit.payload for unit in units] == [part("a", "b"), part("c", rejected=REJECTED)]
    assert [(unit.number, unit.items) for unit in units] == [(1, 2), (2, 2)]
    worker.commit([done(unit) for unit in units])
    assert job_of(store, receipt).status == "succeeded"
    assert not store.redis.exists(keys.inputs(job_id))
    assert store.redis.hget(keys.load("gpu"), "bytes") == "0"


def test_a_job_is_not_seen_before_its_upload_is_whole(store: Store) -> None:
    _, upload = started(store)
    upload.add(part("a"))
    assert store.redis.keys("ps:job:*") == store.redis.keys("ps:lane:*") == []


def test_an_abandoned_upload_expires(store: Store) -> None:
    job_id, upload = started(store, KEY)
    upload.add(part("a"))
    patience_ms = store.settings.upload_patience_ms
    for key in (keys.inputs(job_id), keys.idempotency("o", KEY.key)):
        assert 0 < store.redis.pttl(key) <= patience_ms


def test_an_accepted_upload_stays_until_its_job_ends(store: Store) -> None:
    job_id, upload = started(store)
    upload.add(part("a"))
    submit(store, whole(upload), job_id)
    assert store.redis.pttl(keys.inputs(job_id)) == -1
    cancel_job(store, job_id)
    assert not store.redis.exists(keys.inputs(job_id))


def test_an_upload_that_has_expired_is_not_submitted(store: Store) -> None:
    job_id, upload = started(store)
    upload.add(part("a"))
    store.redis.delete(keys.inputs(job_id))
    with pytest.raises(Unstaged):
        submit(store, whole(upload), job_id)
    assert not store.redis.exists(keys.job(job_id))


def test_a_key_whose_upload_is_under_way_is_in_flight(store: Store) -> None:
    _, first = started(store, KEY)
    first.add(part("a"))
    _, second = started(store, KEY)
    with pytest.raises(InFlight):
        second.add(part("a"))
    with pytest.raises(InFlight):
        submit(store, replace(bulk(1), idempotency=KEY), new_job_id())


def test_a_repeated_upload_is_one_job(store: Store) -> None:
    first_id, first = started(store, KEY)
    first.add(part("a"))
    submit(store, whole(first, KEY), first_id)
    second_id, second = started(store, KEY)
    assert second.add(part("a")) is False
    assert submit(store, whole(second, KEY), second_id).job_id == first_id
    with pytest.raises(IdempotencyMismatch):
        submit(store, whole(second, replace(KEY, body="other")), second_id)
    assert store.redis.keys("ps:inputs:*") == [keys.inputs(first_id)]


def test_an_upload_that_is_too_large_is_refused_and_deleted(store: Store) -> None:
    small = Store(store.redis, replace(store.settings, max_upload_bytes=1_024))
    job_id, upload = started(small, KEY)
    upload.add(part("a" * 500))
    upload.add(part("b" * 1_000))
    with pytest.raises(TooLarge, match="2048 bytes"):
        upload.add(part("c" * 600))
    assert not store.redis.exists(keys.inputs(job_id), keys.idempotency("o", KEY.key))


def test_a_failed_upload_leaves_nothing_staged_and_its_key_free(store: Store) -> None:
    job_id, upload = started(store, KEY)
    with suppress(ZeroDivisionError), upload:
        upload.add(part("a"))
        raise ZeroDivisionError
    assert not store.redis.exists(keys.inputs(job_id), keys.idempotency("o", KEY.key))


def test_a_failure_after_the_job_was_accepted_deletes_nothing(store: Store) -> None:
    job_id, upload = started(store, KEY)
    with suppress(ZeroDivisionError), upload:
        upload.add(part("a"))
        submit(store, whole(upload, KEY), job_id)
        raise ZeroDivisionError
    assert store.redis.exists(keys.inputs(job_id), keys.idempotency("o", KEY.key)) == 2


def test_a_failed_upload_does_not_release_the_key_of_another(store: Store) -> None:
    _, first = started(store, KEY)
    first.add(part("a"))
    _, second = started(store, KEY)
    with pytest.raises(InFlight), second:
        second.add(part("a"))
    assert store.redis.exists(keys.idempotency("o", KEY.key))


def test_rejected_inputs_count_as_items_of_their_unit(store: Store) -> None:
    job_id, upload = started(store)
    upload.add(part(rejected={"0": REJECTED["1"]}))
    receipt = submit(store, whole(upload), job_id)
    assert job_of(store, receipt).total == 1

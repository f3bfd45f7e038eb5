"""Helpers of tests: submit without HTTP, claim and settle without Celery."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Job, Spec
from tasks.jobs.read import read_job
from tasks.jobs.submit import Receipt, Submission, new_job_id, submit
from tasks.queue.consumer import Consumer
from tasks.queue.units import SettledUnit, Unit
from tasks.store import keys
from tasks.store.client import Store

OUTPUT: dict[str, Any] = {"output": {"label": "allow"}, "error": None}
ERROR: dict[str, Any] = {"output": None, "error": {"code": "model_error", "message": "no"}}

SINGLE = Submission(
    spec=Spec(pipeline="null", owner="o"),
    inputs=[{"text": "hello"}],
    lane=Lane.GPU,
    priority=Priority.NORMAL,
    batch_items=4,
)


def bulk(count: int, unit_items: int = 4) -> Submission:
    spec = replace(SINGLE.spec, bulk=True, unit_items=unit_items)
    return replace(SINGLE, spec=spec, inputs=[{"text": f"n{n}"} for n in range(count)])


def put(store: Store, submission: Submission = SINGLE) -> Receipt:
    return submit(store, submission, new_job_id())


def with_lease(store: Store, lease_ms: int) -> Store:
    return Store(store.redis, replace(store.settings, lease_ms=lease_ms, renew_ms=lease_ms // 2))


def claim(consumer: Consumer, most: int = 64, awake_ms: int = 0) -> list[Unit]:
    return list(consumer.claim(most, awake_ms).units)


def claim_until(consumer: Consumer, count: int) -> list[Unit]:
    """Claim until `count` units have come; the test's timeout ends it."""
    units: list[Unit] = []
    while len(units) < count:
        units += claim(consumer)
    return units


def crash(store: Store, consumer: Consumer) -> None:
    """Let the leases of all units that the worker holds expire."""
    stream = keys.stream(consumer.lane, Priority.NORMAL)
    for held in store.redis.xpending_range(stream, keys.GROUP, "-", "+", 100, consumer.name):
        store.redis.xclaim(
            stream,
            keys.GROUP,
            consumer.name,
            0,
            [held["message_id"]],
            idle=store.settings.lease_ms,
            justid=True,
        )


def done(unit: Unit, outcome: dict[str, Any] = OUTPUT) -> SettledUnit:
    return SettledUnit(unit, [outcome] * unit.items, {})


def job_of(store: Store, receipt: Receipt) -> Job:
    job = read_job(store, receipt.job_id)
    assert job is not None
    return job


def counts(store: Store) -> dict[str, int]:
    return {str(status): int(count) for status, count in store.redis.hgetall("ps:counts").items()}

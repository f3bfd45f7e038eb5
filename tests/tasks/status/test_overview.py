from __future__ import annotations

import pytest

from ml.catalog import load_pipelines
from tasks.jobs.lanes import Lane
from tasks.jobs.listing import newest_jobs
from tasks.jobs.model import Status
from tasks.queue.circuit_breakers import BreakerState
from tasks.status import overview
from tasks.status.overview import read_overview
from tasks.store.client import Store
from tests.listed import add, id_at

PIPELINES = load_pipelines(("ml.null:pipeline",)).values()


def test_the_overview_of_an_empty_redis_is_empty(store: Store) -> None:
    seen = read_overview(store, PIPELINES)
    assert seen.now > 0
    assert seen.oldest_waiting_s == dict.fromkeys(Lane, 0)
    assert (seen.series, seen.attempts, seen.jobs) == ({}, {}, [])
    assert set(seen.breakers.values()) == {BreakerState.CLOSED}
    assert not seen.health.could_finish


def test_the_newest_jobs_of_several_owners_come_merged(store: Store) -> None:
    add(store, range(0, 10, 2), Status.FAILED, "acme")
    add(store, range(1, 10, 2), Status.QUEUED, "bolt")
    found = newest_jobs(store, ["acme", "bolt", "nobody"], 6)
    assert [job.id for job in found] == [id_at(n) for n in range(9, 3, -1)]
    assert newest_jobs(store, [], 6) == []


def test_only_jobs_of_the_busiest_owners_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MOST_OWNERS", 2)
    for number, owner in enumerate(("idle", "busy", "busier")):
        add(store, [number], Status.QUEUED, owner)
        store.redis.hset("ps:unfinished", owner, str(number))
    assert [job.spec.owner for job in read_overview(store, PIPELINES).jobs] == ["busier", "busy"]

from __future__ import annotations

from dataclasses import replace

from tasks.jobs.lanes import Lane
from tasks.jobs.model import Status
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tests.tasks.lanes import SINGLE, bulk, claim, counts, done, job_of, put

HOUR_MS = 3_600_000


def sweep(
    store: Store,
    caller: str = "me",
    interval_ms: int = 1,
    lease_ms: int = 15_000,
    patience_ms: int = HOUR_MS,
) -> object:
    args = SweepArgs(caller, interval_ms, lease_ms, 60_000, patience_ms)
    swept = store.run(SWEEP, args, [list(Lane)])
    return swept[0] if swept else None


def sweep_until_it_wakes(store: Store, lease_ms: int = 15_000) -> object:
    """Sweep until a lane is woken; lock and age go by Redis's clock."""
    lanes: object = None
    while not lanes:
        lanes = sweep(store, lease_ms=lease_ms)
    return lanes


def test_one_worker_sweeps_per_interval(store: Store) -> None:
    assert sweep(store, "first", interval_ms=HOUR_MS) == []
    assert sweep(store, "second", interval_ms=HOUR_MS) is None


def test_a_unit_whose_wake_up_was_lost_gets_another(store: Store) -> None:
    put(store)
    assert sweep_until_it_wakes(store) == ["gpu"]


def test_a_new_unit_needs_no_second_wake_up(store: Store) -> None:
    put(store)
    assert sweep(store, interval_ms=HOUR_MS) == []


def test_a_held_unit_needs_no_wake_up_until_its_lease_expires(store: Store) -> None:
    put(store)
    claim(Consumer(store, Lane.GPU))
    assert sweep(store, interval_ms=1) == []
    assert sweep_until_it_wakes(store, lease_ms=2) == ["gpu"]


def test_jobs_past_their_deadline_expire_and_their_units_are_dropped(store: Store) -> None:
    receipt = put(store, replace(SINGLE, deadline_ms=HOUR_MS))
    other = put(store, replace(SINGLE, deadline_ms=HOUR_MS))
    store.redis.zadd("ps:deadlines", {receipt.job_id: 1})
    sweep(store)
    job = job_of(store, receipt)
    assert job.status is Status.EXPIRED
    assert job.view()["error"]["code"] == "deadline_exceeded"
    assert store.redis.zrange("ps:deadlines", 0, -1) == [other.job_id]
    assert [unit.job for unit in claim(Consumer(store, Lane.GPU))] == [other.job_id]
    assert counts(store) == {"expired": 1}


def test_a_worker_without_heartbeats_for_two_leases_is_deregistered(store: Store) -> None:
    put(store)
    dead, alive = Consumer(store, Lane.GPU), Consumer(store, Lane.GPU)
    (unit,) = claim(dead)
    dead.release([unit])
    (unit,) = claim(alive)
    alive.renew()
    store.redis.zadd("ps:workers", {f"gpu/{dead.name}": 1})
    sweep(store)
    assert store.redis.zrange("ps:workers", 0, -1) == [f"gpu/{alive.name}"]
    consumers = store.redis.xinfo_consumers("ps:lane:gpu:normal", "workers")
    assert [consumer["name"] for consumer in consumers] == [alive.name]


def test_a_dead_worker_that_still_holds_units_keeps_them_claimable(store: Store) -> None:
    put(store)
    dead = Consumer(store, Lane.GPU)
    claim(dead)
    store.redis.zadd("ps:workers", {f"gpu/{dead.name}": 1})
    sweep(store)
    assert store.redis.xpending("ps:lane:gpu:normal", "workers")["pending"] == 1


def test_the_drain_rate_is_measured_while_units_wait(store: Store) -> None:
    for _ in range(20):
        put(store)
    sweep_until_it_wakes(store)
    consumer = Consumer(store, Lane.GPU)
    consumer.commit([done(unit) for unit in claim(consumer, most=10)])
    sweep_until_it_wakes(store)
    rate = float(store.redis.hget("ps:lane:gpu:rate", "per_s") or 0)
    assert rate > 0


def test_an_idle_lane_does_not_change_the_drain_rate(store: Store) -> None:
    sweep(store)
    store.redis.delete("ps:sweep")
    sweep(store)
    assert store.redis.hget("ps:lane:gpu:rate", "per_s") is None


MOVABLE = replace(SINGLE, cpu_may_serve=True)


def sweep_until_moved(store: Store, patience_ms: int = HOUR_MS, lease_ms: int = 15_000) -> None:
    cpu = Consumer(store, Lane.CPU)
    while store.redis.xlen("ps:lane:gpu:normal"):
        cpu.renew()
        sweep(store, patience_ms=patience_ms, lease_ms=lease_ms)


def test_without_a_gpu_worker_units_move_to_the_cpu_lane_with_the_reason(store: Store) -> None:
    receipt = put(store, MOVABLE)
    cpu = Consumer(store, Lane.CPU)
    cpu.renew()
    sweep_until_moved(store)
    (unit,) = claim(cpu)
    assert (unit.job, unit.reason, unit.payload.inputs) == (
        *(receipt.job_id, "no_gpu_worker", SINGLE.inputs),
    )
    assert job_of(store, receipt).lane == "cpu"
    cpu.commit([done(unit)])
    assert counts(store) == {"succeeded": 1}


def test_of_a_backlog_only_units_that_waited_too_long_move(store: Store) -> None:
    gpu, cpu = Consumer(store, Lane.GPU), Consumer(store, Lane.CPU)
    gpu.renew()
    cpu.renew()
    put(store, MOVABLE)
    sweep(store)
    assert store.redis.xlen("ps:lane:gpu:normal") == 1
    sweep_until_moved(store, patience_ms=1)
    (unit,) = claim(cpu)
    assert unit.reason == "gpu_backlog"


def test_a_sweep_that_has_moved_all_it_may_ends_well_and_the_next_ones_move_the_rest(
    store: Store,
) -> None:
    """Once it moved 512 units, the owners behind them ended the script with an error."""
    units = replace(bulk(160, unit_items=1), cpu_may_serve=True)
    for owner in ("ann", "bob", "cid", "dan", "eve", "fay"):
        put(store, replace(units, spec=replace(units.spec, owner=owner)))
    Consumer(store, Lane.CPU).renew()
    assert sweep(store, interval_ms=1) == ["cpu"]
    assert 512 <= store.redis.xlen("ps:lane:cpu:normal") + parked(store, "cpu") < 6 * 160
    sweep_until_moved(store)
    assert store.redis.xlen("ps:lane:cpu:normal") + parked(store, "cpu") == 6 * 160


def parked(store: Store, lane: str) -> int:
    """Units that wait in owners' queues of a lane."""
    return int(store.redis.hget(f"ps:lane:{lane}:load", "parked:normal") or 0)


def test_a_job_whose_client_accepts_no_lower_tier_waits_for_the_gpu(store: Store) -> None:
    put(store)
    Consumer(store, Lane.CPU).renew()
    sweep(store)
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_without_a_cpu_worker_nothing_moves(store: Store) -> None:
    put(store, MOVABLE)
    sweep(store)
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_units_that_the_last_gpu_worker_held_when_it_died_move_with_their_attempts(
    store: Store,
) -> None:
    receipt = put(store, MOVABLE)
    claim(Consumer(store, Lane.GPU))
    cpu = Consumer(store, Lane.CPU)
    cpu.renew()
    sweep_until_moved(store, lease_ms=50)
    (unit,) = claim(cpu)
    assert (unit.job, unit.attempt) == (receipt.job_id, 2)


def test_a_moved_unit_is_claimed_alone_if_a_worker_died_while_it_held_it(store: Store) -> None:
    put(store, MOVABLE)
    claim(Consumer(store, Lane.GPU))
    put(store, MOVABLE)
    cpu = Consumer(store, Lane.CPU)
    cpu.renew()
    sweep_until_moved(store, lease_ms=50)
    put(store, replace(MOVABLE, lane=Lane.CPU))
    claims = [[unit.attempt for unit in claim(cpu)] for _ in range(3)]
    assert sorted(claims) == [[], [1, 1], [2]]


def test_units_held_by_a_live_worker_never_move(store: Store) -> None:
    put(store, MOVABLE)
    gpu, cpu = Consumer(store, Lane.GPU), Consumer(store, Lane.CPU)
    gpu.renew()
    cpu.renew()
    claim(gpu)
    sweep(store, patience_ms=0)
    assert store.redis.xlen("ps:lane:gpu:normal") == 1

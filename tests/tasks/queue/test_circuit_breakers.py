from __future__ import annotations

from dataclasses import replace

import pytest

from ml.null import pipeline
from ml.serving.outcomes import Verdict
from tasks.jobs.lanes import Lane
from tasks.queue.circuit_breakers import BreakerState, CircuitBreakers, states
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tests.pipelines import moderation

NAME = "moderation/cnn"
TIERS = ("cnn", "rules")
FAILED, ANSWERED = Verdict("cnn", False), Verdict("cnn", True)
COOL_DOWN_MS = 3_600_000


@pytest.fixture
def patient(store: Store) -> Store:
    """A store with a long cool-down, which ends when a test moves the time."""
    return Store(store.redis, replace(store.settings, breaker_cool_down_ms=COOL_DOWN_MS))


def as_claimed(store: Store) -> CircuitBreakers:
    """A worker's breakers after a claim."""
    breakers = CircuitBreakers(store)
    breakers.update(Consumer(store, Lane.GPU).claim(1, 0).breakers)
    return breakers


def state(store: Store) -> BreakerState:
    return states(store, [moderation])[NAME]


def cool_down(store: Store) -> None:
    failures = str(store.redis.hget(keys.BREAKERS, NAME)).partition(" ")[0]
    store.redis.hset(keys.BREAKERS, NAME, f"{failures} 1")


def test_every_tier_has_a_breaker_that_is_closed_at_first(store: Store) -> None:
    found = states(store, [moderation, pipeline])
    assert found == dict.fromkeys(["moderation/cnn", "moderation/rules", "null/null"], "closed")


def test_five_failures_in_a_row_open_it_for_every_worker(patient: Store) -> None:
    for _ in range(4):
        as_claimed(patient).record("moderation", [FAILED])
    assert state(patient) is BreakerState.CLOSED
    as_claimed(patient).record("moderation", [FAILED])
    assert state(patient) is BreakerState.OPEN
    assert as_claimed(patient).tiers_to_skip("moderation", TIERS) == {"cnn"}
    assert as_claimed(patient).tiers_to_skip("null", ["null"]) == frozenset()


def test_a_success_resets_the_count_of_failures(patient: Store) -> None:
    as_claimed(patient).record("moderation", [FAILED] * 4 + [ANSWERED] + [FAILED] * 4)
    assert state(patient) is BreakerState.CLOSED
    as_claimed(patient).record("moderation", [ANSWERED])
    assert patient.redis.exists(keys.BREAKERS) == 0


def test_after_the_cool_down_one_worker_may_probe(patient: Store) -> None:
    as_claimed(patient).record("moderation", [FAILED] * 5)
    cool_down(patient)
    assert state(patient) is BreakerState.HALF_OPEN
    asked = [as_claimed(patient).tiers_to_skip("moderation", TIERS) for _ in range(3)]
    assert asked == [frozenset(), {"cnn"}, {"cnn"}]


def test_a_probe_that_fails_opens_it_again_and_one_that_succeeds_closes_it(patient: Store) -> None:
    as_claimed(patient).record("moderation", [FAILED] * 5)
    cool_down(patient)
    as_claimed(patient).record("moderation", [FAILED])
    assert state(patient) is BreakerState.OPEN
    cool_down(patient)
    as_claimed(patient).record("moderation", [ANSWERED])
    assert state(patient) is BreakerState.CLOSED
    assert as_claimed(patient).tiers_to_skip("moderation", TIERS) == frozenset()


def test_a_worker_that_never_saw_a_failure_writes_nothing(patient: Store) -> None:
    as_claimed(patient).record("moderation", [ANSWERED] * 3)
    assert patient.redis.keys("ps:breakers") == []


def test_a_batch_goes_on_when_redis_cannot_be_reached(patient: Store) -> None:
    breakers = as_claimed(patient)
    breakers.update({NAME: "5 1"})
    patient.redis.connection_pool.disconnect()
    patient.redis.connection_pool.connection_kwargs |= {"port": 1}
    patient.execute = patient.redis.execute_command  # type: ignore[method-assign]
    assert breakers.tiers_to_skip("moderation", TIERS) == {"cnn"}
    breakers.record("moderation", [FAILED])

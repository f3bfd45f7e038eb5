from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import RedisError

from app.api_keys.cache import FRESH_S, KeyCache
from app.api_keys.key_format import new_key
from app.api_keys.management import KeyRequest, create, revoke, rotate
from app.api_keys.principal import KeyLimits, Principal, Scope
from tasks.config.settings import Settings
from tasks.store.client import Store, connect
from tests.ports import free_port

ACME = KeyRequest(owner="acme")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s

    def pass_(self, seconds: float) -> None:
        self.s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(store: Store, clock: Clock) -> KeyCache:
    return KeyCache(store, clock)


def commands(store: Store) -> int:
    """How many commands and scripts Redis has run so far."""
    stats = store.redis.info("commandstats")
    return sum(int(s["calls"]) for name, s in stats.items() if name == "cmdstat_evalsha")


def test_a_key_leads_to_its_owner_scopes_and_limits(store: Store, ring: KeyCache) -> None:
    made = create(store, KeyRequest(owner="acme", scopes=(Scope.METRICS,), items_per_s=3))
    assert ring.principal_of(made.key.text) == Principal(
        owner="acme",
        key_id=made.key.id,
        scopes=frozenset({Scope.METRICS}),
        limits=KeyLimits(requests_per_s=50, items_per_s=3, unfinished_items=50_000),
    )


def test_the_settings_are_the_limits_of_a_key_that_has_none(store: Store, clock: Clock) -> None:
    chosen = replace(store.settings, requests_per_s=1, items_per_s=2, unfinished_items=3)
    made = create(store, ACME)
    principal = KeyCache(Store(store.redis, chosen), clock).principal_of(made.key.text)
    assert principal is not None
    assert principal.limits == KeyLimits(1, 2, 3)


def test_no_other_text_is_a_valid_key(store: Store, ring: KeyCache) -> None:
    right, other = create(store, ACME).key, new_key()
    forged = other.text.replace(other.id, right.id)
    for text in ("", right.id, right.text[:-1], right.text + "0", forged, other.text):
        assert ring.principal_of(text) is None


def test_the_id_of_a_key_with_another_secret_is_not_valid(
    store: Store, ring: KeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = create(store, ACME).key
    letters = iter(right.id)
    monkeypatch.setattr("app.api_keys.key_format.secrets.choice", lambda _: next(letters))
    forged = new_key()
    assert forged.id == right.id
    assert ring.principal_of(forged.text) is None
    assert ring.principal_of(right.text) is not None


def test_with_another_pepper_no_key_is_valid(store: Store, clock: Clock) -> None:
    made = create(store, ACME)
    other = Store(store.redis, replace(store.settings, key_pepper="another pepper, as long"))
    assert KeyCache(other, clock).principal_of(made.key.text) is None


def test_a_revoked_key_stops_working_within_half_a_second(
    store: Store, ring: KeyCache, clock: Clock
) -> None:
    made = create(store, ACME)
    assert ring.principal_of(made.key.text) is not None
    revoke(store, made.key.id)
    assert FRESH_S <= 0.5
    clock.pass_(FRESH_S)
    assert ring.principal_of(made.key.text) is None


def test_a_new_key_works_within_half_a_second(store: Store, ring: KeyCache, clock: Clock) -> None:
    assert ring.principal_of(new_key().text) is None
    made = create(store, ACME)
    clock.pass_(FRESH_S)
    assert ring.principal_of(made.key.text) is not None


def test_a_key_expires_by_the_clock_of_redis_and_what_passed_since_on_ours(
    store: Store, ring: KeyCache, clock: Clock
) -> None:
    old = create(store, replace(ACME, lives_s=3_600))
    new = rotate(store, old.key.id, 600)
    clock.pass_(FRESH_S)
    assert ring.principal_of(old.key.text) is not None
    clock.pass_(FRESH_S * 0.9)  # from here on nothing is read again
    ring._fresh = lambda: ring._snapshot  # type: ignore[method-assign]
    clock.pass_(600)
    assert ring.principal_of(old.key.text) is None
    assert ring.principal_of(new.key.text) is not None
    clock.pass_(3_000)
    assert ring.principal_of(new.key.text) is None


def test_requests_cost_redis_one_command_in_half_a_second_whatever_they_show(
    store: Store, ring: KeyCache, clock: Clock
) -> None:
    made = create(store, ACME)
    before = commands(store)
    for _ in range(4):
        clock.pass_(FRESH_S)
        assert ring.principal_of(made.key.text) is not None
        for _ in range(100):
            assert ring.principal_of(new_key().text) is None
            assert ring.principal_of("nonsense") is None
    assert commands(store) - before == 4


def test_many_threads_at_once_cost_one_command_and_all_get_their_answer(
    store: Store, ring: KeyCache, clock: Clock
) -> None:
    made = [create(store, KeyRequest(owner=f"o{n}")) for n in range(8)]
    with ThreadPoolExecutor(32) as threads:
        for _ in range(10):
            clock.pass_(FRESH_S)
            before = commands(store)
            found = list(threads.map(lambda m: ring.principal_of(m.key.text), made * 20))
            assert [p.owner if p else None for p in found] == [f"o{n}" for n in range(8)] * 20
            assert commands(store) - before == 1


def test_what_is_no_key_is_refused_without_redis_and_a_key_is_not_decided_on(
    settings: Settings,
) -> None:
    nowhere = KeyCache(Store(connect(replace(settings, redis_port=free_port())), settings))
    assert nowhere.principal_of("nonsense") is None
    for _ in range(2):
        with pytest.raises(RedisError):
            nowhere.principal_of(new_key().text)


def test_requests_that_wait_for_a_failing_read_fail_and_the_next_one_reads_again(
    store: Store, ring: KeyCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(store, ACME)
    run: Callable[..., object] = store.run
    failing = [True]

    def broken(*args: object, **kwargs: object) -> object:
        if failing[0]:
            raise RedisError("away")
        return run(*args, **kwargs)

    monkeypatch.setattr(store, "run", broken)

    def attempt(_: int) -> str:
        try:
            ring.principal_of(made.key.text)
        except RedisError:
            return "failed"
        return "answered"

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(attempt, range(64))) == {"failed"}
        failing[0] = False
        assert set(threads.map(attempt, range(64))) == {"answered"}


def test_a_flushed_redis_has_no_keys(store: Store, ring: KeyCache, clock: Clock) -> None:
    made = create(store, ACME)
    assert ring.principal_of(made.key.text) is not None
    store.redis.flushall()
    clock.pass_(FRESH_S)
    assert ring.principal_of(made.key.text) is None

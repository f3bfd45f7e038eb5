"""The rate limiter without HTTP. Items are counted over 60 s, so no test outlasts their window."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.api_keys.principal import KeyLimits, Principal, Scope
from app.rate_limiting import limiter as limiter_module
from app.rate_limiting.limiter import CHUNKS, ITEMS_WINDOW_S, QuotaState, RateLimiter
from app.rate_limiting.sliding_window import (
    CONNECTIONS,
    PAUSE_S,
    RatePolicy,
    SlidingWindowStore,
    StoreUnavailable,
    WindowUsage,
)
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.eventually import eventually
from tests.faults.proxy import Proxy

PATIENCE_MS = 300  # timeout of a store that may be down


def key(key_id: str = "k1", requests_per_s: int = 1_000, items_per_s: int = 1) -> Principal:
    limits = KeyLimits(requests_per_s, items_per_s, unfinished_items=1)
    return Principal("owner", key_id, frozenset({Scope.JOBS}), limits)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class Counted(SlidingWindowStore):
    """Counts how often the store is asked."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(settings, clock)
        self.taken: list[int] = []
        self.looks = 0

    def take(self, policy: RatePolicy, key_id: str, tokens: int) -> bool:
        self.taken.append(tokens)
        return super().take(policy, key_id, tokens)

    def usage(self, policy: RatePolicy, key_id: str) -> WindowUsage:
        self.looks += 1
        return super().usage(policy, key_id)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def windows(settings: Settings, store: Store, clock: Clock) -> Counted:
    """A rate limiter with an empty Redis."""
    return Counted(settings, clock)


@pytest.fixture
def limiter(windows: Counted) -> RateLimiter:
    return RateLimiter(windows, processes=1)


def items(limiter: RateLimiter, principal: Principal, count: int = 1) -> QuotaState:
    (state,) = limiter.take(principal, items=count)
    return state


def granted(limiter: RateLimiter, principal: Principal, tries: int) -> int:
    return sum(not items(limiter, principal).refused for _ in range(tries))


def test_a_key_may_spend_its_quota_and_no_more(limiter: RateLimiter) -> None:
    quota = ITEMS_WINDOW_S
    assert [items(limiter, key()).remaining for _ in range(3)] == [quota - 1, quota - 2, quota - 3]
    assert granted(limiter, key(), quota) == quota - 3
    refusal = items(limiter, key())
    assert refusal.refused
    assert refusal.remaining == 0
    assert 1 <= refusal.reset_s <= 2 * ITEMS_WINDOW_S


def test_requests_and_items_are_counted_apart(limiter: RateLimiter) -> None:
    poor = key(requests_per_s=1_000, items_per_s=1)
    assert items(limiter, poor, ITEMS_WINDOW_S).remaining == 0
    (requests,) = limiter.take(poor, requests=1)
    assert (requests.policy.name, requests.refused) == ("requests", False)
    assert items(limiter, poor).refused


def test_a_key_with_a_high_rate_asks_once_for_many_requests(
    limiter: RateLimiter, windows: Counted
) -> None:
    quota = 1_000 * ITEMS_WINDOW_S
    assert granted(limiter, key(items_per_s=1_000), quota // CHUNKS) == quota // CHUNKS
    assert windows.taken == [quota // CHUNKS]
    assert windows.looks == 1
    assert items(limiter, key(items_per_s=1_000)).remaining == quota - quota // CHUNKS - 1
    assert windows.taken == [quota // CHUNKS] * 2


def test_refused_requests_do_not_ask_the_store(limiter: RateLimiter, windows: Counted) -> None:
    items(limiter, key(), ITEMS_WINDOW_S)
    assert items(limiter, key()).refused
    before = list(windows.taken), windows.looks
    assert granted(limiter, key(), 1_000) == 0
    assert (windows.taken, windows.looks) == before


def test_after_its_wait_a_refused_key_is_asked_about_again(
    limiter: RateLimiter, windows: Counted, clock: Clock
) -> None:
    items(limiter, key(), ITEMS_WINDOW_S)
    refusal = items(limiter, key())
    before = len(windows.taken)
    clock.now += refusal.reset_s
    items(limiter, key())
    assert len(windows.taken) > before


def test_what_is_too_much_now_does_not_stop_what_is_less(limiter: RateLimiter) -> None:
    items(limiter, key(), ITEMS_WINDOW_S - 10)
    assert items(limiter, key(), 11).refused
    assert items(limiter, key(), 50).refused
    assert not items(limiter, key(), 10).refused


def test_a_refused_request_spends_nothing(limiter: RateLimiter) -> None:
    items(limiter, key(), 30)
    for _ in range(5):
        refusal = items(limiter, key(), 31)
        assert (refusal.refused, refusal.remaining) == (True, 30)


def test_more_than_the_quota_is_refused_and_spends_nothing(limiter: RateLimiter) -> None:
    assert items(limiter, key(), ITEMS_WINDOW_S + 1).refused
    assert items(limiter, key(), ITEMS_WINDOW_S).remaining == 0


def test_one_key_at_its_limit_leaves_the_others_alone(limiter: RateLimiter) -> None:
    for _ in range(3):
        granted(limiter, key("flood"), 200)
        for other in ("k1", "k2", "k3"):
            assert not items(limiter, key(other)).refused
    assert items(limiter, key("k1")).remaining == ITEMS_WINDOW_S - 4


def test_what_is_left_of_a_chunk_is_forgotten_after_a_window(
    limiter: RateLimiter, windows: Counted, clock: Clock
) -> None:
    rich = key(items_per_s=100)
    chunk = 100 * ITEMS_WINDOW_S // CHUNKS
    items(limiter, rich)
    clock.now += ITEMS_WINDOW_S - 1
    items(limiter, rich)
    assert windows.taken == [chunk]
    clock.now += 1
    items(limiter, rich)
    assert windows.taken == [chunk, chunk]


def test_processes_share_a_quota_and_each_sees_what_the_others_spent(
    settings: Settings, store: Store
) -> None:
    quota = 100 * ITEMS_WINDOW_S
    rich = key(items_per_s=100)
    processes = [
        RateLimiter(SlidingWindowStore(settings), 2),
        RateLimiter(SlidingWindowStore(settings), 2),
    ]
    spent = sum(granted(processes[number % 2], rich, 10) for number in range(quota // 10))
    assert spent == quota
    assert all(items(process, rich).refused for process in processes)


def test_what_a_process_holds_is_at_most_its_share_of_a_twentieth(
    settings: Settings, store: Store
) -> None:
    quota = 100 * ITEMS_WINDOW_S
    rich = key(items_per_s=100)
    idle, busy = (
        RateLimiter(SlidingWindowStore(settings), 2),
        RateLimiter(SlidingWindowStore(settings), 2),
    )
    items(idle, rich)
    assert granted(busy, rich, quota) == quota - quota // CHUNKS // 2


def test_threads_that_share_a_limiter_spend_the_quota_exactly(
    settings: Settings, store: Store
) -> None:
    rich = key(items_per_s=50)
    shared = RateLimiter(SlidingWindowStore(settings), 1)
    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(lambda _: granted(shared, rich, 500), range(8)))
    assert spent == 50 * ITEMS_WINDOW_S


def test_new_limits_of_a_key_hold_at_once(limiter: RateLimiter) -> None:
    items(limiter, key(items_per_s=1), ITEMS_WINDOW_S)
    assert items(limiter, key(items_per_s=1)).refused
    assert not items(limiter, key(items_per_s=2)).refused


def test_the_oldest_of_too_many_keys_loses_what_it_held_and_no_more(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter_module, "MOST_KEYS", 2)
    for name in ("a", "b", "c"):
        items(limiter, key(name))
    assert {name for name, _ in limiter._quotas} == {"b", "c"}
    chunk = ITEMS_WINDOW_S // CHUNKS
    assert items(limiter, key("a")).remaining == ITEMS_WINDOW_S - chunk - 1


def test_a_key_that_was_refused_is_served_again(settings: Settings, store: Store) -> None:
    slow = key(requests_per_s=5)
    limiter = RateLimiter(SlidingWindowStore(settings), 1)

    def refused() -> bool:
        return limiter.take(slow, requests=1)[0].refused

    eventually(refused, "a refusal")
    eventually(lambda: not refused(), "a request that passes")


counts = st.integers(0, 1_000)


@given(previous=counts, current=counts, cost=st.integers(1, 1_000), rest=st.floats(0.01, 0.99))
def test_the_wait_is_as_long_as_the_count_is_too_high(
    previous: int, current: int, cost: int, rest: float
) -> None:
    policy = RatePolicy("items", 1_000, 60, chunk=1)
    usage = WindowUsage(previous, current, rest * policy.window_s, seen=100.0)
    wait_s = usage.wait_s(policy, cost, now=100.0)
    assert 0 <= wait_s <= 2 * policy.window_s
    assert usage.used(policy, 100.0 + wait_s + 0.001) + cost <= policy.quota
    if wait_s > 0.001:
        assert usage.used(policy, 100.0 + wait_s - 0.001) + cost > policy.quota


def test_the_wait_runs_down() -> None:
    policy = RatePolicy("items", 60, 60, chunk=1)
    usage = WindowUsage(previous=0, current=60, rest_s=30, seen=100.0)
    assert usage.wait_s(policy, 2, 100.0) == pytest.approx(31.0)
    assert usage.wait_s(policy, 2, 120.0) == pytest.approx(11.0)
    assert usage.wait_s(policy, 2, 140.0) == 0.0


def test_the_count_is_the_stores_own(windows: Counted) -> None:
    policy = RatePolicy("items", 100, 60, chunk=1)
    assert windows.usage(policy, "k1").used(policy, windows.clock()) == 0
    windows.take(policy, "k1", 40)
    usage = windows.usage(policy, "k1")
    assert (usage.previous, usage.current) == (0, 40)
    assert usage.rest_s == pytest.approx(60, abs=30)


@pytest.fixture
def proxy(settings: Settings, store: Store) -> Iterator[Proxy]:
    proxy = Proxy(settings.redis_port)
    yield proxy
    proxy.close()


@pytest.fixture
def distant(settings: Settings, proxy: Proxy, clock: Clock) -> Counted:
    """A store behind a proxy that can be disconnected."""
    return Counted(impatient(settings, proxy), clock)


def impatient(settings: Settings, proxy: Proxy) -> Settings:
    return replace(settings, redis_port=proxy.port, limiter_timeout_ms=PATIENCE_MS)


@pytest.mark.parametrize("connected", [True, False])
def test_a_store_that_never_answers_costs_one_short_wait_and_is_not_asked_for_a_while(
    distant: Counted, proxy: Proxy, clock: Clock, connected: bool
) -> None:
    limiter = RateLimiter(distant, 1)
    if connected:
        limiter.take(key(), requests=1)
    proxy.cut()
    with capture_logs() as logs:
        began = time.monotonic()
        for number in range(100):
            with pytest.raises(StoreUnavailable):
                items(limiter, key(f"k{number}"))
        # Had each of them asked, it would have taken 30 s.
        assert time.monotonic() - began < 10
        clock.now += PAUSE_S
        with pytest.raises(StoreUnavailable):
            items(limiter, key())
    assert [log["event"] for log in logs] == ["rate limits are not counted: the store failed"]
    assert logs[0]["log_level"] == "warning"


def test_a_store_that_is_back_counts_again(distant: Counted, proxy: Proxy, clock: Clock) -> None:
    limiter = RateLimiter(distant, processes=60)  # so that no tokens are held
    items(limiter, key())
    proxy.cut()
    with pytest.raises(StoreUnavailable):
        items(limiter, key())
    proxy.mend()
    with capture_logs() as logs:
        with pytest.raises(StoreUnavailable):  # not before the pause is over
            items(limiter, key())
        clock.now += PAUSE_S
        assert not items(limiter, key()).refused
        assert not items(limiter, key()).refused
    assert [log["event"] for log in logs] == ["rate limits are counted again"]


def test_while_the_store_is_silent_what_is_held_is_spent(distant: Counted, proxy: Proxy) -> None:
    limiter = RateLimiter(distant, 1)
    rich = key(items_per_s=100)
    items(limiter, rich)
    proxy.cut()
    held = 100 * ITEMS_WINDOW_S // CHUNKS - 1
    assert granted(limiter, rich, held) == held
    with pytest.raises(StoreUnavailable):
        items(limiter, rich)


def test_threads_of_one_key_share_the_wait_for_a_store_that_is_down(
    settings: Settings, proxy: Proxy
) -> None:
    limiter = RateLimiter(SlidingWindowStore(impatient(settings, proxy)), 1)
    proxy.cut()

    def waited_s(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            items(limiter, key())
        return time.monotonic() - began

    with ThreadPoolExecutor(30) as pool:
        longest = max(pool.map(waited_s, range(30)))
    assert longest < 5  # had each waited for the one before it: 9 s


def test_more_threads_than_connections_are_no_outage(settings: Settings, store: Store) -> None:
    patient = SlidingWindowStore(replace(settings, limiter_timeout_ms=60_000))
    limiter = RateLimiter(patient, 1)
    threads = 3 * CONNECTIONS
    with ThreadPoolExecutor(threads) as pool, capture_logs() as logs:
        keys = [key(f"k{number}") for number in range(threads)]
        quota_states = list(pool.map(lambda one: items(limiter, one), keys * 3))
    assert not any(state.refused for state in quota_states)
    assert logs == []


def test_the_password_is_in_no_text_about_the_store(settings: Settings, proxy: Proxy) -> None:
    windows = SlidingWindowStore(impatient(settings, proxy))
    proxy.cut()
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        items(RateLimiter(windows, 1), key())
    assert settings.redis_password not in str(logs)


def test_the_longest_wait_is_nearly_two_windows() -> None:
    policy = RatePolicy("items", 60, 60, chunk=1)
    usage = WindowUsage(previous=60, current=60, rest_s=60, seen=0.0)
    assert math.isclose(usage.wait_s(policy, 60, 0.0), 119)
    assert usage.wait_s(policy, 61, 0.0) == 60  # in fact never

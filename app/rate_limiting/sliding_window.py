"""Sliding window counters in Redis, by the `limits` library: what a key used of its rates.

Why this strategy of the library: a refused request is not counted, so a client may ask for much and
then for less without harm. Each policy and key has two counters, whatever the rate (the moving
window keeps an entry for each token). Redis's clock decides. And a client cannot send twice the
quota around the boundary of two windows (with the fixed window it can).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import RedisError

from tasks.config.settings import Settings
from tasks.store import keys
from tasks.store.client import connect
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

R = TypeVar("R")

PAUSE_S = 1.0  # after a failure the store is not asked for so long
LOOK_AGAIN_S = 1.0  # after so long the counters of all processes are read again
CONNECTIONS = 32


class StoreUnavailable(Exception):
    """The store failed, failed less than PAUSE_S ago, or too many threads are asking it."""


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `quota` tokens in any `window_s` seconds. chunk: tokens taken at once from the store.

    The sliding window counts a share of the previous window, so `quota` holds on average.
    """

    name: str
    quota: int
    window_s: int
    chunk: int

    def __str__(self) -> str:
        """The policy as the header field RateLimit-Policy writes it."""
        return f'"{self.name}";q={self.quota};w={self.window_s}'

    @property
    def item(self) -> RateLimitItem:
        return RateLimitItemPerSecond(self.quota, self.window_s, namespace=self.name)


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """The two counters of a policy and key. previous, current: tokens of the last and this window.

    rest_s: seconds from `seen` until this window ends. seen: when they were read, by the monotonic
    clock of this process.
    """

    previous: int
    current: int
    rest_s: float
    seen: float

    @property
    def stale(self) -> float:
        """When the counters must be read again."""
        return self.seen + min(LOOK_AGAIN_S, self.rest_s)

    def used(self, policy: RatePolicy, now: float) -> int:
        """Tokens that count at `now`, if nobody takes any meanwhile."""
        rest_s = self.rest_s - (now - self.seen)
        if rest_s > 0:
            return int(self.previous * rest_s / policy.window_s) + self.current
        # This window has ended: its share shrinks, as the previous one's did.
        return int(self.current * max(0.0, 1 + rest_s / policy.window_s))

    def wait_s(self, policy: RatePolicy, cost: int, now: float) -> float:
        """Seconds from `now` until `cost` tokens are there, if nobody takes any meanwhile."""
        allowed = policy.quota - cost  # tokens that may count when `cost` is taken
        if allowed < 0:
            return float(policy.window_s)
        if allowed < self.current:
            free_at_s = self._current_shrinks_to(allowed, policy)
        elif self.previous:
            free_at_s = self._previous_shrinks_to(allowed - self.current, policy)
        else:
            free_at_s = 0.0
        return max(0.0, free_at_s - (now - self.seen))

    def _current_shrinks_to(self, tokens: int, policy: RatePolicy) -> float:
        """Seconds from `seen` until the share of the present window is at most `tokens`.

        It counts whole until it ends, then its share falls to 0 within one window. Fractions of
        tokens are not counted, so it is enough to be below `tokens` + 1.
        """
        return self.rest_s + policy.window_s * max(0.0, 1 - (tokens + 1) / self.current)

    def _previous_shrinks_to(self, tokens: int, policy: RatePolicy) -> float:
        """Seconds from `seen` until the share of the previous window is at most `tokens`.

        Its share falls to 0 at the end of the present window, `rest_s` from `seen`.
        """
        return self.rest_s - policy.window_s * (tokens + 1) / self.previous


class SlidingWindowStore:
    """The counters of all keys in Redis, over connections of their own with a short timeout."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        quick = replace(settings, redis_timeout_ms=settings.limiter_timeout_ms)
        pool = connect(quick, max_connections=CONNECTIONS).connection_pool
        # The address in the first argument is not used: the pool has it, and the password.
        self._storage = RedisStorage("redis://", connection_pool=pool, key_prefix=keys.LIMITS)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self.clock = clock
        self.patience_s = settings.limiter_timeout_ms / 1000
        self._connections = threading.Semaphore(CONNECTIONS)
        self._lock = threading.Lock()  # guards the two below
        self._paused_until = 0.0
        self._failing = False

    def take(self, policy: RatePolicy, key_id: str, tokens: int) -> bool:
        """Take the tokens if they are there; returns whether they were.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        taken = self._ask(lambda: self._limiter.hit(policy.item, key_id, cost=tokens))
        if self._failing:  # only here: a full Redis still answers reads
            self._note_recovery()
        return taken

    def usage(self, policy: RatePolicy, key_id: str) -> WindowUsage:
        """Read what all processes have taken.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        key, window_s = policy.item.key_for(key_id), policy.window_s
        found = self._ask(lambda: self._storage.get_sliding_window(key, window_s))
        previous, _, current, current_s = found
        # The library keeps the counter for one more window, in which it is the previous one.
        rest_s = current_s - window_s if current_s else float(window_s)
        return WindowUsage(previous, current, rest_s, self.clock())

    def _ask(self, question: Callable[[], R]) -> R:
        """Call `question`, which asks the store, once a connection is free."""
        # Waiting for the connection pool instead would look like a failure of the store.
        if not self._connections.acquire(timeout=self.patience_s):
            raise StoreUnavailable
        try:
            if self.clock() < self._paused_until:
                raise StoreUnavailable
            return question()
        except RedisError as error:
            self._note_failure(error)
            raise StoreUnavailable from None
        finally:
            self._connections.release()

    def _note_failure(self, error: RedisError) -> None:
        with self._lock:
            self._paused_until = self.clock() + PAUSE_S
            first, self._failing = not self._failing, True
        if first:  # once per outage
            log.warning("rate limits are not counted: the store failed", error=str(error))

    def _note_recovery(self) -> None:
        with self._lock:
            first, self._failing = self._failing, False
        if first:
            log.info("rate limits are counted again")

"""Rates counted in Redis, by the sliding window counter of the `limits` library.

Of its strategies this one fits: a refused hit is not counted, so that asking for much and then for
less is harmless; two counters a policy and key, whatever the rate (the moving window keeps an entry
for each token); the decision is made by Redis's clock; and no burst of twice the quota where two
windows meet (the fixed window has it).
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

PAUSE_S = 1.0  # how long a store that failed is left alone
LOOK_AGAIN_S = 1.0  # how old what we know of other processes' use may grow
CONNECTIONS = 32


class StoreSilent(Exception):
    """The store failed, did so less than a second ago, or too many others are asking it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `quota` tokens in any `window_s` seconds. chunk: tokens taken at once from the store.

    The share of the last window that is still inside is estimated: `quota` holds on average.
    """

    name: str
    quota: int
    window_s: int
    chunk: int

    def __str__(self) -> str:
        """As the header field RateLimit-Policy has it."""
        return f'"{self.name}";q={self.quota};w={self.window_s}'

    @property
    def item(self) -> RateLimitItem:
        return RateLimitItemPerSecond(self.quota, self.window_s, namespace=self.name)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the store has counted. previous, current: in the last window and in this one.

    rest_s: until this window ends, from `seen` on, which is this process's monotonic clock.
    """

    previous: int
    current: int
    rest_s: float
    seen: float

    @property
    def stale(self) -> float:
        """When to look again."""
        return self.seen + min(LOOK_AGAIN_S, self.rest_s)

    def used(self, policy: Policy, now: float) -> int:
        """Tokens that count at `now`, if nobody takes any meanwhile."""
        rest_s = self.rest_s - (now - self.seen)
        if rest_s > 0:
            return int(self.previous * rest_s / policy.window_s) + self.current
        return int(self.current * max(0.0, 1 + rest_s / policy.window_s))

    def wait_s(self, policy: Policy, cost: int, now: float) -> float:
        """Seconds from `now` until `cost` tokens are there, if nobody takes any meanwhile."""
        room = policy.quota - cost
        if room < 0:
            return float(policy.window_s)
        if room < self.current:  # this window must end first, and then fade
            at = self.rest_s + policy.window_s * max(0.0, 1 - (room + 1) / self.current)
        elif self.previous:
            fading = room - self.current + 1  # fractions of tokens are not counted
            at = self.rest_s - policy.window_s * fading / self.previous
        else:
            at = 0.0
        return max(0.0, at - (now - self.seen))


class Windows:
    """The counters of all keys, over connections of their own whose patience is short."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        quick = replace(settings, redis_timeout_ms=settings.limiter_timeout_ms)
        pool = connect(quick, max_connections=CONNECTIONS).connection_pool
        # The address in the first argument is not used: the pool has it, and the password.
        self._storage = RedisStorage("redis://", connection_pool=pool, key_prefix=keys.LIMITS)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self.clock = clock
        self.patience_s = settings.limiter_timeout_ms / 1000
        self._turns = threading.Semaphore(CONNECTIONS)
        self._lock = threading.Lock()  # guards the two below
        self._silent_until = 0.0
        self._silent = False

    def take(self, policy: Policy, key_id: str, tokens: int) -> bool:
        """Whether so many tokens were there, and are taken now.

        Raises:
            StoreSilent: nobody knows.
        """
        taken = self._ask(lambda: self._limiter.hit(policy.item, key_id, cost=tokens))
        if self._silent:  # only here: a full Redis still answers a look
            self._speaks_again()
        return taken

    def usage(self, policy: Policy, key_id: str) -> Usage:
        """What was taken, by all processes.

        Raises:
            StoreSilent: nobody knows.
        """
        key, window_s = policy.item.key_for(key_id), policy.window_s
        found = self._ask(lambda: self._storage.get_sliding_window(key, window_s))
        previous, _, current, current_s = found
        # The library keeps this window's counter for a window more, as the previous one's.
        rest_s = current_s - window_s if current_s else float(window_s)
        return Usage(previous, current, rest_s, self.clock())

    def _ask(self, question: Callable[[], R]) -> R:
        # Waiting for the pool instead would look as if the store had failed.
        if not self._turns.acquire(timeout=self.patience_s):
            raise StoreSilent
        try:
            if self.clock() < self._silent_until:
                raise StoreSilent
            return question()
        except RedisError as error:
            self._fell_silent(error)
            raise StoreSilent from None
        finally:
            self._turns.release()

    def _fell_silent(self, error: RedisError) -> None:
        with self._lock:
            self._silent_until = self.clock() + PAUSE_S
            first, self._silent = not self._silent, True
        if first:  # once per outage
            log.warning("rates are not counted: their store failed", error=str(error))

    def _speaks_again(self) -> None:
        with self._lock:
            first, self._silent = self._silent, False
        if first:
            log.info("rates are counted again")

"""Rate limiter per key, for requests and items; a process takes tokens from Redis in chunks.

Asking Redis costs about 45 us of CPU, a tenth of what a submit costs this process. So the process
takes a twentieth of the quota at once (divided by the number of processes), spends it locally, and
drops the rest after a window. If a chunk is not available, it asks for what the request costs. A
refusal is remembered until the tokens are back, so refused requests do not ask Redis each time.

So the limit is not exact: tokens that processes hold unspent, up to a twentieth of a quota in all,
are refused to others though nobody has used them; and they are spent up to a window later than they
were counted.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.api_keys.principal import KeyLimits, Principal
from app.rate_limiting.sliding_window import (
    RatePolicy,
    SlidingWindowStore,
    StoreUnavailable,
    WindowUsage,
)

ITEMS_WINDOW_S = 60  # a bulk job may hold more than one second's items
CHUNKS = 20  # in a quota
REFUSE_S = 0.05  # a refusal is remembered at least so long: by then some chunks are back
MOST_KEYS = 20_000


class QuotaState(NamedTuple):
    """What a key has left of a policy after a request.

    remaining: tokens. reset_s: seconds until there are more. refused: the request got no tokens.
    """

    policy: RatePolicy
    remaining: int
    reset_s: int
    refused: bool


class LocalQuota:
    """The tokens that this process holds of one policy of one key."""

    __slots__ = (
        *("_held", "_held_until", "_key_id", "_lock", "_refused", "_refused_until", "_usage"),
        *("_store", "policy"),
    )

    def __init__(self, policy: RatePolicy, key_id: str, store: SlidingWindowStore) -> None:
        self.policy = policy
        self._key_id = key_id
        self._store = store
        self._lock = threading.Lock()
        self._held, self._held_until = 0, 0.0
        self._refused, self._refused_until = 0, 0.0  # this many tokens were refused, until then
        self._usage: WindowUsage | None = None

    def take(self, cost: int) -> QuotaState:
        """Spend `cost` tokens, or none.

        Raises:
            StoreUnavailable: the store had to be asked and failed, or other threads wait for it.
        """
        if not self._lock.acquire(timeout=self._store.patience_s):
            raise StoreUnavailable
        try:
            now = self._store.clock()
            if now >= self._held_until:
                self._held = 0
            if not self._granted(cost, now):
                return self._refusal(cost, now)
            self._held -= cost
            return self._state(now)
        finally:
            self._lock.release()

    def _granted(self, cost: int, now: float) -> bool:
        """Whether enough tokens are held, if necessary after asking the store for more."""
        if self._held >= cost:
            return True
        if cost >= self._refused and now < self._refused_until:
            return False
        missing = cost - self._held
        for tokens in dict.fromkeys((max(missing, self.policy.chunk), missing)):
            if self._store.take(self.policy, self._key_id, tokens):
                self._hold(tokens, now)
                return True
        self._usage = self._store.usage(self.policy, self._key_id)
        wait_s = self._usage.wait_s(self.policy, missing, now)
        self._refused, self._refused_until = cost, now + max(wait_s, REFUSE_S)
        return False

    def _hold(self, tokens: int, now: float) -> None:
        if self._held == 0:
            self._held_until = now + self.policy.window_s
        self._held += tokens
        if self._usage is not None:
            self._usage = replace(self._usage, current=self._usage.current + tokens)

    def _refusal(self, cost: int, now: float) -> QuotaState:
        usage = self._usage
        wait_s = usage.wait_s(self.policy, cost - self._held, now) if usage else 0.0
        reset_s = math.ceil(max(wait_s, self._refused_until - now))
        remaining = min(cost - 1, self._remaining(now))
        return QuotaState(self.policy, remaining, max(1, reset_s), refused=True)

    def _state(self, now: float) -> QuotaState:
        usage = self._usage
        if usage is None or now >= usage.stale:
            usage = self._read_usage()
        reset_s = math.ceil(usage.rest_s - max(0.0, now - usage.seen))
        return QuotaState(self.policy, self._remaining(now), max(1, reset_s), refused=False)

    def _read_usage(self) -> WindowUsage:
        try:
            self._usage = self._store.usage(self.policy, self._key_id)
        except StoreUnavailable:  # the last known usage is good enough for a header
            if self._usage is None:
                raise
        return self._usage

    def _remaining(self, now: float) -> int:
        used = self._usage.used(self.policy, now) if self._usage else 0
        return max(0, self.policy.quota - used) + self._held


@dataclass(frozen=True, slots=True)
class KeyQuotas:
    """The two quotas of a key. policies: both, as the header field RateLimit-Policy writes them."""

    requests: LocalQuota
    items: LocalQuota
    policies: str


class RateLimiter:
    """The rate limiter of one of `processes` web processes. Threads may share it."""

    def __init__(self, store: SlidingWindowStore, processes: int) -> None:
        self._store = store
        self._shares = CHUNKS * processes
        self._quotas: dict[tuple[str, KeyLimits], KeyQuotas] = {}
        self._lock = threading.Lock()  # guards changes of _quotas

    def take(self, principal: Principal, requests: int = 0, items: int = 0) -> list[QuotaState]:
        """Spend tokens of the key; returns what is left of each policy that was asked for.

        Raises:
            StoreUnavailable: the store had to be asked and failed.
        """
        quotas = self.quotas(principal)
        quota_states = []
        if requests:
            quota_states.append(quotas.requests.take(requests))
        if items:
            quota_states.append(quotas.items.take(items))
        return quota_states

    def quotas(self, principal: Principal) -> KeyQuotas:
        """The quotas of a key; a change of its limits begins new ones."""
        name = (principal.key_id, principal.limits)
        return self._quotas.get(name) or self._open(name)

    def _open(self, name: tuple[str, KeyLimits]) -> KeyQuotas:
        key_id, limits = name
        requests = self._new_quota(key_id, "requests", limits.requests_per_s, 1)
        items_quota = limits.items_per_s * ITEMS_WINDOW_S
        items = self._new_quota(key_id, "items", items_quota, ITEMS_WINDOW_S)
        with self._lock:
            policies = f"{requests.policy}, {items.policy}"
            quotas = self._quotas.setdefault(name, KeyQuotas(requests, items, policies))
            if len(self._quotas) > MOST_KEYS:  # the oldest loses the tokens that it held
                del self._quotas[next(iter(self._quotas))]
        return quotas

    def _new_quota(self, key_id: str, name: str, quota: int, window_s: int) -> LocalQuota:
        policy = RatePolicy(name, quota, window_s, chunk=quota // self._shares)
        return LocalQuota(policy, key_id, self._store)

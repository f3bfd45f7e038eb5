"""Counts wrong API keys by client address and by key id; too many a minute are answered 429.

This tells a misconfigured client to stop. The keys are safe without it, since 256 bits cannot be
guessed. Each process counts for itself, without Redis. Addresses and ids are hashed into a fixed
number of buckets, so that a flood of made-up ones cannot fill the memory. Clients that share a
bucket can at worst turn each other's 401 into a 429: a valid key is never counted.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app.http.client_address import network_of

BUCKETS = 1_024  # for addresses, and as many for ids


class FailedAttempts:
    """The counters of this process. per_minute: wrong keys allowed for an address or an id."""

    def __init__(self, per_minute: int) -> None:
        self._most = RateLimitItemPerMinute(per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, address: str, key_id: str | None) -> int | None:
        """Count a wrong key; returns the seconds to wait if there were too many, else None.

        Keys from an address beyond its limit are not counted for the ids, or one client could use
        up the buckets of all.
        """
        buckets = [_bucket("address", network_of(address))]
        if key_id is not None:
            buckets.append(_bucket("id", key_id))
        for bucket in buckets:
            if not self._limiter.hit(self._most, bucket):
                ends = self._limiter.get_window_stats(self._most, bucket).reset_time
                return max(1, math.ceil(ends - time.time()))
        return None


def _bucket(kind: str, value: str) -> str:
    return f"{kind}/{hash(value) % BUCKETS}"  # Python salts its hashes: nobody can choose a bucket

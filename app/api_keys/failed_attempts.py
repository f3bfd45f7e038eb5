"""Wrong keys are counted by address and by the id they name; beyond some a minute, it is too many.

It tells a client gone wrong to stop; the keys themselves are safe without it, since 256 bits cannot
be tried out. Counts are this process's own and cost no look at Redis. What is counted falls into a
fixed number of buckets, so that no flood of made-up addresses and ids fills the memory. Strangers
that share one can at worst make each other's 401 a 429: a right key is never counted.
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
    def __init__(self, per_minute: int) -> None:
        self._most = RateLimitItemPerMinute(per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, address: str, key_id: str | None) -> int | None:
        """Count one; if there were too many from the address or of the id, the seconds to wait.

        What an address shows beyond its limit is not counted for the ids, or one client could use
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
    return f"{kind}/{hash(value) % BUCKETS}"  # Python salts its hashes: nobody can aim

"""Usage of owners by day, lane and pipeline, as the scripts count it (includes/series.lua)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.store import keys
from tasks.store.client import Store

DAY_US: Final = 86_400_000_000
KEPT_DAYS: Final = 93  # with today; KEEP_USAGE_MS in includes/series.lua
_COUNTED: Final = ("jobs", "items", "cached", "device_us")


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """Usage of one lane and pipeline by one owner on one day.

    day: UTC, days since the epoch. jobs: that ended on that day, with any status. items: that have
    an answer or failed. cached: items answered from the cache. device_us: the owner's share of
    device time.
    """

    day: int
    lane: str
    pipeline: str
    jobs: int = 0
    items: int = 0
    cached: int = 0
    device_us: int = 0


def today(store: Store) -> int:
    """The current day by Redis's clock, which dates the counters: UTC, days since the epoch.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    return store.now_us() // DAY_US


def read_usage(
    store: Store, owner: str, days: Sequence[int], fleet: bool = False
) -> tuple[list[DailyUsage], dict[str, str]]:
    """The owner's usage, ordered by day, lane and pipeline; and, if `fleet`, the hash ps:series.

    It takes one round trip, whatever the number of days.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    pipe = store.redis.pipeline(transaction=False)
    for day in days:
        pipe.hgetall(keys.usage(owner, day))
    if fleet:
        pipe.hgetall(keys.SERIES)
    found: list[dict[str, str]] = pipe.execute()
    series = found.pop() if fleet else {}
    used = [one for day, counts in zip(days, found, strict=True) for one in _of_day(day, counts)]
    return used, series


def _of_day(day: int, counts: Mapping[str, str]) -> Iterator[DailyUsage]:
    by_pipeline: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for field, amount in counts.items():
        lane, pipeline, what = field.split("|")
        by_pipeline[lane, pipeline][what] = int(amount)
    for (lane, pipeline), amounts in sorted(by_pipeline.items()):
        yield DailyUsage(day, lane, pipeline, *(amounts.get(what, 0) for what in _COUNTED))

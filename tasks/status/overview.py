"""Overview of the service for the operator's console, read in two round trips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ml.pipeline import Pipeline
from tasks.jobs.lanes import Lane
from tasks.jobs.listing import newest_jobs
from tasks.jobs.model import Job
from tasks.queue.circuit_breakers import BreakerState, states_of
from tasks.status.health import Health, add_health_commands, parse_health
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.status import OLDEST_WAITING

MOST_OWNERS: Final = 50  # whose jobs are looked through; those with the most unfinished items first
MOST_JOBS: Final = 40


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the service at `now`, microseconds since the epoch by Redis's clock.

    oldest_waiting_s: age of each lane's oldest waiting unit. series: the hash ps:series. attempts:
    to deliver webhooks, by outcome. breakers: by "pipeline/tier". jobs: the newest, of several
    owners.
    """

    now: int
    health: Health
    oldest_waiting_s: Mapping[str, float]
    series: Mapping[str, str]
    attempts: Mapping[str, int]
    breakers: Mapping[str, BreakerState]
    jobs: Sequence[Job]


def read_overview(store: Store, pipelines: Iterable[Pipeline]) -> Overview:
    """Read the overview: one round trip for counters and gauges, one for the jobs.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    pipe = store.redis.pipeline(transaction=False)
    # EVAL and not EVALSHA: NOSCRIPT cannot be handled inside a pipeline
    pipe.eval(OLDEST_WAITING.text, 0, *Lane)
    for key in (keys.SERIES, keys.WEBHOOKS_COUNTS, keys.BREAKERS, keys.UNFINISHED):
        pipe.hgetall(key)
    add_health_commands(pipe)
    ages, series, attempts, breakers, unfinished, *rest = pipe.execute()
    now = _micros(rest[0])
    return Overview(
        now=now,
        health=parse_health(rest, store.settings.lease_ms),
        oldest_waiting_s={lane.value: ms / 1000 for lane, ms in zip(Lane, ages, strict=True)},
        series=series,
        attempts={outcome: int(count) for outcome, count in attempts.items()},
        breakers=states_of(breakers, now // 1000, pipelines),
        jobs=newest_jobs(store, _busiest(unfinished), MOST_JOBS),
    )


def _busiest(unfinished: Mapping[str, str]) -> list[str]:
    owners = sorted(unfinished, key=lambda owner: (-int(unfinished[owner]), owner))
    return owners[:MOST_OWNERS]


def _micros(time: Any) -> int:
    seconds, micros = time
    return int(seconds) * 1_000_000 + int(micros)

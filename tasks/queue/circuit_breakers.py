"""Circuit breakers: one per pipeline and tier, shared by all processes through Redis.

    closed --failed calls in a row--> open --cool-down--> half-open --success--> closed
                                       ^                      |
                                       +-------failure--------+

A call fails if it answers none of its items: one bad item among good ones never counts. Half-open
lets one call through per cool-down, from whichever worker comes first. While a breaker is open, its
tier is skipped: the tier below answers, and new jobs go to the cpu lane. A job that cannot go
elsewhere never fails because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from redis import RedisError

from ml.pipeline import Pipeline
from ml.serving.outcomes import Verdict
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import (
    BREAKER_PROBE,
    BREAKER_RECORD,
    BreakerProbeArgs,
    BreakerRecordArgs,
)
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)


class BreakerState(StrEnum):
    """State of one breaker, as the API and the metrics show it."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


def breaker_name(pipeline: str, tier: str) -> str:
    """The name of a tier's breaker in Redis and in logs."""
    return f"{pipeline}/{tier}"


def states(store: Store, pipelines: Iterable[Pipeline]) -> dict[str, BreakerState]:
    """The state of every tier's breaker, by name.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    seconds, micros = store.redis.time()
    known: dict[Any, Any] = store.redis.hgetall(keys.BREAKERS)
    return states_of(known, seconds * 1000 + micros // 1000, pipelines)


def states_of(
    known: Mapping[str, str], now_ms: int, pipelines: Iterable[Pipeline]
) -> dict[str, BreakerState]:
    """The state of every tier's breaker, from the contents of ps:breakers at `now_ms`."""
    return {
        name: _state(known.get(name), now_ms)
        for pipeline in pipelines
        for name in (breaker_name(pipeline.name, tier.name) for tier in pipeline.tiers)
    }


class CircuitBreakers:
    """A worker's view of the breakers: which tiers to skip, and the results of their calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Mapping[str, str] = {}

    def update(self, known: Mapping[str, str]) -> None:
        """Take over the states that a claim returned: of breakers with failures."""
        self._known = known

    def tiers_to_skip(self, pipeline: str, tiers: Iterable[str]) -> frozenset[str]:
        """Which of `tiers` must not be called now; a half-open one may be, once per cool-down.

        tiers: those that run here. Asking about another would use up the probe of a worker that
        runs it.
        """
        tripped = [tier for tier in tiers if self.is_open(pipeline, tier)]
        return frozenset(tier for tier in tripped if not self._may_probe(pipeline, tier))

    def is_open(self, pipeline: str, tier: str) -> bool:
        """Whether the tier's breaker was open, or half-open, at the last claim."""
        known = self._known.get(breaker_name(pipeline, tier))
        return known is not None and not known.endswith(" 0")

    def record(self, pipeline: str, verdicts: Iterable[Verdict]) -> None:
        """Record the results of calls of tiers, in order.

        Best effort: if Redis cannot be reached, the batch goes on.
        """
        failing = {name for name in self._known if name.startswith(f"{pipeline}/")}
        for verdict in verdicts:
            name = breaker_name(pipeline, verdict.tier)
            if verdict.answered and name not in failing:
                continue
            (failing.discard if verdict.answered else failing.add)(name)
            self._record_one(name, verdict.answered)

    def _record_one(self, name: str, answered: bool) -> None:
        settings = self._store.settings
        args = BreakerRecordArgs(
            name=name,
            answered=int(answered),
            threshold=settings.breaker_failures,
            cool_down_ms=settings.breaker_cool_down_ms,
        )
        try:
            changed = self._store.run(BREAKER_RECORD, args)
        except RedisError as error:
            log.warning("breaker result not recorded", breaker=name, error=str(error))
            return
        if changed:
            log.warning("breaker closed" if answered else "breaker opened", breaker=name)

    def _may_probe(self, pipeline: str, tier: str) -> bool:
        name, cool_down_ms = breaker_name(pipeline, tier), self._store.settings.breaker_cool_down_ms
        try:
            return bool(self._store.run(BREAKER_PROBE, BreakerProbeArgs(name, cool_down_ms)))
        except RedisError as error:
            log.warning("breaker state not known", breaker=name, error=str(error))
            return False


def _state(known: str | None, now_ms: int) -> BreakerState:
    if known is None or known.endswith(" 0"):
        return BreakerState.CLOSED
    return BreakerState.OPEN if now_ms < int(known.partition(" ")[2]) else BreakerState.HALF_OPEN

"""Circuit breakers: one per pipeline and tier, shared by all processes through Redis.

    closed --failed calls in a row--> open --cool-down--> half-open --success--> closed
                                       ^                      |
                                       +-------failure--------+

A call fails if it answers none of its members: one bad item among good ones never counts.
Half-open lets one call through per cool-down, whichever worker comes first. An open breaker routes
round its tier: to the tier below, and new jobs to the cpu lane. It never fails a job that cannot go
elsewhere.
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
    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


def breaker_name(pipeline: str, tier: str) -> str:
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
    """The same from ps:breakers as it stood at that moment."""
    return {
        name: _state(known.get(name), now_ms)
        for pipeline in pipelines
        for name in (breaker_name(pipeline.name, tier.name) for tier in pipeline.tiers)
    }


class CircuitBreakers:
    """A worker's side: which tiers to pass over, and what became of those that were called."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Mapping[str, str] = {}

    def learn(self, known: Mapping[str, str]) -> None:
        """Take over what a claim brought: breakers with failures, as Redis keeps them."""
        self._known = known

    def tiers_to_skip(self, pipeline: str, tiers: Iterable[str]) -> frozenset[str]:
        """Which of `tiers` must not be called now; one whose turn it is to be probed may be.

        tiers: those that run here. Asking for another would take its turn from who runs it.
        """
        tripped = [tier for tier in tiers if self.is_open(pipeline, tier)]
        return frozenset(tier for tier in tripped if not self._may_probe(pipeline, tier))

    def is_open(self, pipeline: str, tier: str) -> bool:
        """Whether the tier's breaker was open, or half-open, at the last claim."""
        known = self._known.get(breaker_name(pipeline, tier))
        return known is not None and not known.endswith(" 0")

    def record(self, pipeline: str, verdicts: Iterable[Verdict]) -> None:
        """Report calls of tiers, in order.

        Best effort: a batch's answers matter more than a count of failures.
        """
        failing = {name for name in self._known if name.startswith(f"{pipeline}/")}
        for verdict in verdicts:
            name = breaker_name(pipeline, verdict.tier)
            if verdict.answered and name not in failing:
                continue
            (failing.discard if verdict.answered else failing.add)(name)
            self._count(name, verdict.answered)

    def _count(self, name: str, answered: bool) -> None:
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
            log.warning("breaker not told", breaker=name, error=str(error))
            return
        if changed:
            log.warning("breaker closed" if answered else "breaker opened", breaker=name)

    def _may_probe(self, pipeline: str, tier: str) -> bool:
        name, cool_down_ms = breaker_name(pipeline, tier), self._store.settings.breaker_cool_down_ms
        try:
            return bool(self._store.run(BREAKER_PROBE, BreakerProbeArgs(name, cool_down_ms)))
        except RedisError as error:
            log.warning("breaker not asked", breaker=name, error=str(error))
            return False


def _state(known: str | None, now_ms: int) -> BreakerState:
    if known is None or known.endswith(" 0"):
        return BreakerState.CLOSED
    return BreakerState.OPEN if now_ms < int(known.partition(" ")[2]) else BreakerState.HALF_OPEN

"""Samples answered items for drift detection: figures about items, never texts.

Each item draws a number 0..1. Of each time window (PENSTOCK_DRIFT_INTERVAL_S by Redis's clock) the
rows with the lowest draws are kept, at most PENSTOCK_DRIFT_SAMPLES (bottom-k sampling: Cohen and
Kaplan, PODC 2007). So every item has the same chance, whichever worker answered it, and the samples
of two windows can be merged. A worker that knows the highest draw that would still be kept computes
figures for fewer and fewer items: for about k (1 + ln(n / k)) of n.

Only items that a model computed are sampled. An answer from the cache, or for an equal input of the
same batch, is not: it is the same text again. Degraded answers are sampled, with their tier.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from ml.drift.reference import Row, row
from ml.pipeline import Mode, Pipeline
from ml.serving.cascade import Member
from ml.serving.outcomes import Outcome
from ml.serving.runtime import Prepared
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.drift import ADD_SAMPLES, AddSamplesArgs, SampledRow
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

_Drawn = tuple[float, bytes]  # minus the draw, so that a heap has the highest on top; JSON


class DriftReservoir:
    """Rows that one process sampled of one pipeline and has not sent yet. Thread-safe."""

    def __init__(self, pipeline: Pipeline, most: int) -> None:
        self._pipeline = pipeline
        self._most = most
        self._lock = threading.Lock()
        self._heap: list[_Drawn] = []
        self._limit = 1.0  # rows with this draw or a higher one would not be kept
        self._until = 0.0  # monotonic: end of the window for which the limit holds

    def observe(self, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        """Draw for each outcome, and keep the figures of those whose draw is low enough."""
        limit = self._limit if time.monotonic() < self._until else 1.0
        for item, member, outcome in zip(prepared.items, prepared.members, outcomes, strict=True):
            draw = random.random()  # noqa: S311
            if draw < limit and outcome.output is not None and isinstance(member, Member):
                figures = self._pipeline.drift_features(item, member.features)
                routed = self._pipeline.mode_of(item.options) is Mode.BALANCED
                usual = item.options.temperature == 1.0
                self._keep(draw, row(figures, outcome.output, usual, routed))

    def _keep(self, draw: float, figures: Row) -> None:
        drawn = (-draw, orjson.dumps([draw, figures]))
        with self._lock:
            if len(self._heap) < self._most:
                heapq.heappush(self._heap, drawn)
            else:
                heapq.heappushpop(self._heap, drawn)

    def send(self, store: Store) -> None:
        """Send the collected rows. Rows that cannot be sent are lost, which causes no bias.

        Raises:
            redis.RedisError: Redis is out of reach, or full.
        """
        with self._lock:
            rows, self._heap = self._heap, []
        if not rows:
            return
        settings, pipeline = store.settings, self._pipeline
        args = AddSamplesArgs(
            pipeline=pipeline.name,
            model_version=pipeline.version,
            interval_ms=settings.drift_interval_s * 1000,
            most_rows=settings.drift_samples,
        )
        sampled = (SampledRow(repr(-draw), text) for draw, text in rows)
        limit, left_ms = store.run(ADD_SAMPLES, args, sampled)
        self._limit, self._until = float(limit), time.monotonic() + left_ms / 1000


class Sampler:
    """The reservoirs of one process: one for each pipeline that has a reference."""

    def __init__(self, pipelines: Iterable[Pipeline], most: int) -> None:
        watched = [one for one in pipelines if most and one.drift_reference()]
        self._reservoirs = {one.name: DriftReservoir(one, most) for one in watched}
        self._failure_logged = False

    def observe(self, pipeline: str, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        """Sample outcomes. Never raises: an error in a pipeline's figures must not fail answers."""
        if reservoir := self._reservoirs.get(pipeline):
            try:
                reservoir.observe(prepared, outcomes)
            except Exception:
                if not self._failure_logged:
                    log.exception("not sampled for drift", pipeline=pipeline)
                self._failure_logged = True

    def send(self, store: Store) -> None:
        """Send the rows of all reservoirs.

        Raises:
            redis.RedisError: Redis is out of reach, or full.
        """
        for reservoir in self._reservoirs.values():
            reservoir.send(store)


def recent_rows(store: Store, pipeline: Pipeline) -> list[Row]:
    """A uniform sample of the items answered in the current and the previous window.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    window = current_window(store)
    drawn: list[tuple[float, str]] = []
    for number in (window - 1, window):
        key = keys.drift_sample(pipeline.name, pipeline.version, number)
        flat: list[Any] = store.execute("ZRANGE", key, 0, -1, "WITHSCORES")
        drawn += ((float(draw), text) for text, draw in zip(flat[::2], flat[1::2], strict=True))
    chosen = heapq.nsmallest(store.settings.drift_samples, drawn)
    return [orjson.loads(text)[1] for _, text in chosen]


def current_window(store: Store) -> int:
    """Number of the current window since the epoch, by Redis's clock."""
    return store.now_us() // (store.settings.drift_interval_s * 1_000_000)

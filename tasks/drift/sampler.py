"""Samples of what is answered, for drift: figures about items, evenly from all, never a text.

Each item draws a number 0..1, and of each window of time (PENSTOCK_DRIFT_INTERVAL_S by Redis's
clock) the rows with the lowest draws stay, at most PENSTOCK_DRIFT_SAMPLES (bottom-k sampling: Cohen
and Kaplan, PODC 2007). So every item has the same chance, whichever worker answered it; samples of
two windows join to one of both; and a worker that knows the highest draw that would stay computes
figures for ever fewer items: of n about k (1 + ln(n / k)).

Sampled are items that a model was asked for. An answer from the cache, or an equal input of the
same batch, is not: it is the same text again. Degraded answers are, each with its tier.
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
    """What one process has sampled of one pipeline and not yet sent. For two threads."""

    def __init__(self, pipeline: Pipeline, most: int) -> None:
        self._pipeline = pipeline
        self._most = most
        self._lock = threading.Lock()
        self._heap: list[_Drawn] = []
        self._limit = 1.0  # a row drawn at or above it would not stay
        self._until = 0.0  # monotonic: when the window of that limit ends

    def see(self, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        """Draw for each outcome, and keep the figures of those that may stay."""
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
        """Send what has gathered; what cannot be sent is lost, which biases nothing.

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
    """The reservoirs of one process: of the pipelines that have a reference to be compared with."""

    def __init__(self, pipelines: Iterable[Pipeline], most: int) -> None:
        watched = [one for one in pipelines if most and one.drift_reference()]
        self._reservoirs = {one.name: DriftReservoir(one, most) for one in watched}
        self._complained = False

    def see(self, pipeline: str, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        """Never raises: a pipeline that cannot tell its figures must not fail its answers."""
        if reservoir := self._reservoirs.get(pipeline):
            try:
                reservoir.see(prepared, outcomes)
            except Exception:
                if not self._complained:
                    log.exception("not sampled for drift", pipeline=pipeline)
                self._complained = True

    def send(self, store: Store) -> None:
        for reservoir in self._reservoirs.values():
            reservoir.send(store)


def recent_rows(store: Store, pipeline: Pipeline) -> list[Row]:
    """An even sample of what was answered in the current window and the one before it.

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
    """Number of the current window, by Redis's clock."""
    return store.now_us() // (store.settings.drift_interval_s * 1_000_000)

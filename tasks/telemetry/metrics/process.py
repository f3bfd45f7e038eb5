"""Prometheus metrics of one process: HTTP requests, batches and devices.

Jobs are counted in Redis instead, by the scripts that change them (`tasks.store.series`).
docs/metrics.md lists all metrics; a test compares it with this table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, disable_created_metrics, values
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from tasks.store.series import SECONDS_BOUNDS
from tasks.telemetry.metrics.multiprocess import FOLDER_VARIABLE, FolderCollector, take_slot

if TYPE_CHECKING:
    from ml.serving.runtime import Prepared


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """Name, help text and labels of a metric. bounds: of a histogram's buckets; none: a gauge."""

    name: str
    text: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()

    @property
    def family(self) -> Metric:
        return Metric(self.name, self.text, "histogram" if self.bounds else "gauge")


_POWERS: Final = tuple(float(2**n) for n in range(16))  # 1 to 32,768
_QUICK: Final = (0.0005, 0.001, 0.0025, *SECONDS_BOUNDS)

HTTP: Final = MetricSpec(
    "penstock_http_request_duration_seconds",
    "From a request to its answer, or to the beginning of one that is streamed; the time for which "
    "a client asked to be held is left out.",
    ("method", "route", "status"),
    SECONDS_BOUNDS,
)
BATCH_ITEMS: Final = MetricSpec(
    "penstock_batch_items", "Items in one call of a model.", ("pipeline", "lane"), _POWERS[:11]
)
BATCH_TOKENS: Final = MetricSpec(
    "penstock_batch_tokens",
    "Tokens in one call of a model, with padding: its items times the longest.",
    ("pipeline", "lane"),
    _POWERS,
)
PADDING: Final = MetricSpec(
    "penstock_batch_padding_ratio",
    "Share of those tokens that is padding.",
    ("pipeline", "lane"),
    (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
)
CLAIM: Final = MetricSpec(
    "penstock_claim_duration_seconds", "What a claim of units from Redis took.", ("lane",), _QUICK
)
COMMIT: Final = MetricSpec(
    "penstock_commit_duration_seconds", "What a commit of a batch to Redis took.", ("lane",), _QUICK
)
LOAD: Final = MetricSpec(
    "penstock_model_load_seconds",
    "What loading and warming the models of a pipeline took: the slowest living child.",
    ("pipeline", "lane"),
)
BUDGET: Final = MetricSpec(
    "penstock_batch_budget_tokens",
    "Tokens, with padding, that one call of a model may have: the most of any living child.",
    ("pipeline", "lane"),
)
UTILIZATION: Final = MetricSpec(
    "penstock_device_utilization_ratio",
    "Share of the last seconds in which a device was busy, as NVML has it; without a GPU, in "
    "which a worker's child ran a pipeline's code.",
    ("lane", "device"),
)

WEB_METRICS: Final[Sequence[MetricSpec]] = (HTTP,)
WORKER_METRICS: Final[Sequence[MetricSpec]] = (
    *(BATCH_ITEMS, BATCH_TOKENS, PADDING, CLAIM, COMMIT, LOAD, BUDGET, UTILIZATION),
)


class ProcessMetrics:
    """The metrics of this process. All exist in every process, which fills those it measures."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.http = self._histogram(HTTP)
        self.claim = self._histogram(CLAIM)
        self.commit = self._histogram(COMMIT)
        self.load = self._gauge(LOAD)
        self.budget = self._gauge(BUDGET)
        self.utilization = self._gauge(UTILIZATION)
        self._items = self._histogram(BATCH_ITEMS)
        self._tokens = self._histogram(BATCH_TOKENS)
        self._padding = self._histogram(PADDING)

    def batches(self, pipeline: str, lane: str, prepared: Prepared) -> None:
        """Observe the batches with which models were called."""
        for costs in prepared.costs():
            tokens = len(costs) * max(costs)
            self._items.labels(pipeline, lane).observe(len(costs))
            self._tokens.labels(pipeline, lane).observe(tokens)
            self._padding.labels(pipeline, lane).observe(1 - sum(costs) / tokens if tokens else 0)

    def collector(self, measures: Sequence[MetricSpec]) -> Collector:
        """Collector of all processes of this one's group, or of this one alone without a group."""
        if folder := os.environ.get(FOLDER_VARIABLE):
            return collector_of(Path(folder), measures)
        return _SelectedFamilies(self._registry, measures)

    def _histogram(self, measure: MetricSpec) -> Histogram:
        name, text, labels = measure.name, measure.text, measure.labels
        return Histogram(name, text, labels, buckets=measure.bounds, registry=self._registry)

    def _gauge(self, measure: MetricSpec) -> Gauge:
        name, text, labels = measure.name, measure.text, measure.labels
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode="livemax")


@cache
def process_metrics() -> ProcessMetrics:
    """The metrics of this process. Call it after the fork: it takes a slot in the folder."""
    disable_created_metrics()
    if folder := os.environ.get(FOLDER_VARIABLE):
        slot = take_slot(Path(folder))
        # Replaces what prometheus_client chose from the same variable at import, too early.
        values.ValueClass = values.MultiProcessValue(lambda: slot)
    return ProcessMetrics()


def collector_of(folder: Path, measures: Sequence[MetricSpec]) -> FolderCollector:
    """Collector of all processes of a group, for a process that measures nothing itself."""
    return FolderCollector(folder, [measure.family for measure in measures])


class _SelectedFamilies(Collector):
    """Collects selected families of a registry."""

    def __init__(self, registry: CollectorRegistry, measures: Sequence[MetricSpec]) -> None:
        self._registry = registry
        self._names = {measure.name for measure in measures}

    def collect(self) -> Iterator[Metric]:
        return (metric for metric in self._registry.collect() if metric.name in self._names)


ALL_METRICS: Final[Sequence[MetricSpec]] = tuple(chain(WEB_METRICS, WORKER_METRICS))

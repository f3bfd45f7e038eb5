"""Prometheus metrics of the counters that the Lua scripts keep in Redis (ps:series).

A script counts an event in the same atomic run that causes it. So the counts are exact, over all
processes and even when one dies. Names follow Triton's and text-embeddings-inference's: see
docs/metrics.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from tasks.store.series import CONFIDENCE_BOUNDS, SECONDS_BOUNDS


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. scale: factor from the stored number. bounds: upper, of a histogram."""

    name: str
    text: str
    labels: Sequence[str] = ()
    scale: float = 1
    bounds: Sequence[float] = ()


_ANSWERED: Final = ("pipeline", "lane", "tier", "model_version")
_MICRO: Final = 1e-6

FAMILIES: Final[Mapping[str, Family]] = {
    "jobs": Family("penstock_jobs", "Jobs that ended.", ("pipeline", "status")),
    "predictions": Family(
        "penstock_predictions",
        "Items that were answered or failed.",
        ("pipeline", "tier", "model_version", "status"),
    ),
    "items": Family("penstock_items", "Items that a tier answered.", ("pipeline", "lane", "tier")),
    "degraded": Family(
        "penstock_degraded",
        "Items that a lower tier answered, by why.",
        ("pipeline", "reason"),
    ),
    "cache_hits": Family("penstock_cache_hits", "Items whose answer was known.", ("pipeline",)),
    "cache_misses": Family(
        "penstock_cache_misses", "Items looked up whose answer was not known.", ("pipeline",)
    ),
    "leases_reclaimed": Family(
        "penstock_leases_reclaimed", "Units taken from a silent worker.", ("lane",)
    ),
    "units_quarantined": Family(
        "penstock_units_quarantined", "Units that used up their attempts.", ("pipeline",)
    ),
    "escalations": Family(
        "penstock_escalations", "Units that the cpu lane passed on to the gpu lane.", ("pipeline",)
    ),
    "stale_units": Family(
        "penstock_stale_units", "Units whose worker had lost them when it committed.", ("lane",)
    ),
    "device": Family(
        "penstock_device_seconds", "Time that a tier ran.", ("pipeline", "lane", "tier"), _MICRO
    ),
    "worker": Family(
        "penstock_worker_seconds", "Time of worker children.", ("lane", "state"), _MICRO
    ),
    "scaling": Family(
        "penstock_scaling_decisions",
        "Decisions that a lane should have more workers, or fewer.",
        ("lane", "direction"),
    ),
    "pool": Family(
        "penstock_pool_changes",
        "Children that a worker added to its pool, or took away.",
        ("lane", "direction"),
    ),
    "dropped": Family(
        "penstock_series_dropped", "Counts left out: there were too many series by then."
    ),
    "confidence": Family(
        "penstock_confidence",
        "Confidence of answers.",
        ("pipeline", "tier", "model_version"),
        _MICRO,
        CONFIDENCE_BOUNDS,
    ),
    "job": Family(
        "penstock_job_duration_seconds",
        "From submit to the end, of jobs that succeeded or failed.",
        _ANSWERED,
        _MICRO,
        SECONDS_BOUNDS,
    ),
    "queue": Family(
        "penstock_queue_duration_seconds",
        "From submit to the first claim, of the same jobs.",
        _ANSWERED,
        _MICRO,
        SECONDS_BOUNDS,
    ),
    "inference": Family(
        "penstock_inference_duration_seconds",
        "From the first claim to the end, of the same jobs.",
        _ANSWERED,
        _MICRO,
        SECONDS_BOUNDS,
    ),
}

_Series = dict[str, dict[tuple[str, ...], float]]


def counter_metrics(series: Mapping[str, str]) -> Iterator[Metric]:
    """Every family of `FAMILIES`, even without samples. series: the counters as stored in Redis."""
    by_name: _Series = defaultdict(dict)
    for key, amount in series.items():
        name, *labels = key.split("|")
        by_name[name][tuple(labels)] = int(amount)
    for name, family in FAMILIES.items():
        make = _histogram if family.bounds else _counter
        yield make(family, by_name[name])


def _counter(family: Family, counted: Mapping[tuple[str, ...], float]) -> Metric:
    metric = CounterMetricFamily(family.name, family.text, labels=family.labels)
    for labels, amount in counted.items():
        metric.add_metric(labels, amount * family.scale)
    return metric


def _histogram(family: Family, counted: Mapping[tuple[str, ...], float]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.text, labels=family.labels)
    parts: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (*labels, part), amount in counted.items():
        parts[tuple(labels)][part] = amount
    bounds = [*map(floatToGoString, family.bounds), "+Inf"]
    for of_labels, amounts in parts.items():
        total, buckets = 0.0, []
        for number, bound in enumerate(bounds, start=1):
            total += amounts.get(str(number), 0)
            buckets.append((bound, total))
        metric.add_metric(of_labels, buckets, amounts.get("sum", 0) * family.scale)
    return metric

"""Renders the Prometheus text: counters and state in Redis, and this host's web processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.metrics.autoscaling import desired_workers
from app.metrics.cost import cost_metrics
from app.metrics.counters import counter_metrics
from app.metrics.drift import drift_metrics
from ml.pipeline import Pipeline
from tasks.queue.circuit_breakers import BreakerState, states
from tasks.status.cost import prices_of
from tasks.status.health import Health, oldest_waiting_s, read_health
from tasks.store import keys
from tasks.store.client import Store


class _Snapshot(Collector):
    """Metrics that were read before; nothing is read while they are rendered."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def render_metrics(store: Store, pipelines: Iterable[Pipeline], seen: Collector) -> bytes:
    """Render the metrics as Prometheus text. seen: what the web processes count themselves.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    registry = CollectorRegistry()
    registry.register(_Snapshot(_read(store, pipelines)))
    registry.register(seen)
    return generate_latest(registry)


def _read(store: Store, pipelines: Iterable[Pipeline]) -> Iterator[Metric]:
    series: dict[str, str] = store.redis.hgetall(keys.SERIES)  # type: ignore[assignment]
    yield from counter_metrics(series)
    yield from cost_metrics(series, prices_of(store.settings))
    attempts: dict[str, str] = store.redis.hgetall(keys.WEBHOOKS_COUNTS)  # type: ignore[assignment]
    yield _webhook_attempts(attempts)
    yield from _health(read_health(store))
    yield _gauge(
        "penstock_lane_oldest_seconds",
        "Age of the oldest waiting unit.",
        "lane",
        oldest_waiting_s(store),
    )
    yield desired_workers(store)
    yield _breaker_states(states(store, pipelines))
    yield from drift_metrics(store, pipelines)


def _health(health: Health) -> Iterator[Metric]:
    depth = GaugeMetricFamily(
        "penstock_lane_units", "Units in a lane, held ones too.", labels=["lane", "priority"]
    )
    for place, units in health.depth.items():
        depth.add_metric(list(place), units)
    yield depth
    text = "Bytes of input in a lane, held ones too."
    yield _gauge("penstock_lane_bytes", text, "lane", health.load)
    text = "Units drained per second, while the lane was last busy."
    yield _gauge("penstock_lane_drain_rate", text, "lane", health.drain_rate)
    yield _gauge("penstock_workers", "Worker children alive in a lane.", "lane", health.workers)
    for name, text, value in (
        ("redis_bytes", "Memory that Redis uses for data and overhead.", health.redis_bytes),
        ("redis_max_bytes", "Memory that Redis may use; 0: no limit.", health.redis_max_bytes),
        ("dead_units", "Quarantined units that are kept.", health.dead_units),
        ("dead_webhooks", "Deliveries given up that are listed.", health.dead_webhooks),
    ):
        yield GaugeMetricFamily(f"penstock_{name}", text, value=value)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _webhook_attempts(attempts: Mapping[str, str]) -> Metric:
    family = CounterMetricFamily(
        "penstock_webhook_attempts", "Attempts to deliver webhooks.", labels=["outcome"]
    )
    for outcome, count in attempts.items():
        family.add_metric([outcome], int(count))
    return family


def _breaker_states(breakers: Mapping[str, BreakerState]) -> Metric:
    family = GaugeMetricFamily(
        "penstock_breaker_state",
        "0 closed, 1 half-open, 2 open: the tier is passed over.",
        labels=["pipeline", "tier"],
    )
    for name, state in breakers.items():
        family.add_metric(name.split("/"), list(BreakerState).index(state))
    return family

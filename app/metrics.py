"""Health as Prometheus metrics. Jobs are counted by the scripts that end them, so exactly once."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.health import Health


class _Snapshot(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        jobs = CounterMetricFamily("penstock_jobs", "Jobs that ended.", labels=["status"])
        for status, count in self._health.ended.items():
            jobs.add_metric([status], count)
        yield jobs
        depth = GaugeMetricFamily(
            "penstock_lane_units", "Units in a lane, held ones too.", labels=["lane", "priority"]
        )
        for place, units in self._health.depth.items():
            depth.add_metric(list(place), units)
        yield depth
        workers = GaugeMetricFamily(
            "penstock_workers", "Worker children alive in a lane.", labels=["lane"]
        )
        for lane, count in self._health.workers.items():
            workers.add_metric([lane], count)
        yield workers
        memory = "Memory that Redis uses for data and overhead."
        yield GaugeMetricFamily("penstock_redis_bytes", memory, value=self._health.redis_bytes)


def exposition(health: Health) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(health))
    return generate_latest(registry)

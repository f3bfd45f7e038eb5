"""Health as Prometheus metrics. Jobs are counted by the scripts that end them, so exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.breakers import State
from tasks.health import Health


class _Snapshot(Collector):
    def __init__(self, health: Health, breakers: Mapping[str, State]) -> None:
        self._health = health
        self._breakers = breakers

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
        load = GaugeMetricFamily(
            "penstock_lane_bytes", "Bytes of input in a lane, held ones too.", labels=["lane"]
        )
        for lane, size in self._health.load.items():
            load.add_metric([lane], size)
        yield load
        yield self._breaker_states()
        memory = "Memory that Redis uses for data and overhead."
        yield GaugeMetricFamily("penstock_redis_bytes", memory, value=self._health.redis_bytes)

    def _breaker_states(self) -> Metric:
        family = GaugeMetricFamily(
            "penstock_breaker_state",
            "0 closed, 1 half-open, 2 open: the tier is passed over.",
            labels=["pipeline", "tier"],
        )
        for name, state in self._breakers.items():
            family.add_metric(name.split("/"), list(State).index(state))
        return family


def exposition(health: Health, breakers: Mapping[str, State]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(health, breakers))
    return generate_latest(registry)

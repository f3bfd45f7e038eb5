"""Prometheus metrics of autoscaling: how many workers each lane should have."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily, Metric

from tasks.autoscaling.decisions import read_decisions
from tasks.store.client import Store


def desired_workers(store: Store) -> Metric:
    """The gauge of the last decisions.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    text = "Worker children that a lane should have."
    family = GaugeMetricFamily("penstock_desired_workers", text, labels=["lane"])
    for lane, decision in read_decisions(store).items():
        family.add_metric([lane], decision.desired)
    return family

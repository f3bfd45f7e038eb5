"""Prometheus metrics of cost, where a price is set; the arithmetic is in `tasks.status.cost`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tasks.status.cost import LaneWork, Prices, TierWork, lanes_of, tiers_of


def cost_metrics(series: Mapping[str, str], prices: Prices) -> Iterator[Metric]:
    """Three metric families, perhaps without samples. series: the counters as stored in Redis."""
    lanes = lanes_of(series, prices)
    yield _per_1000(tiers_of(series, prices))
    yield _cost(lanes)
    yield _utilization(lanes)


def _per_1000(tiers: list[TierWork]) -> Metric:
    family = GaugeMetricFamily(
        "penstock_cost_per_1000",
        "Cost of the time that a tier ran, per 1,000 items that it answered.",
        labels=["pipeline", "lane", "tier"],
    )
    for tier in tiers:
        if tier.cost_per_1000 is not None:
            family.add_metric([tier.pipeline, tier.lane, tier.tier], tier.cost_per_1000)
    return family


def _cost(lanes: list[LaneWork]) -> Metric:
    family = CounterMetricFamily(
        "penstock_cost",
        "Cost of worker children's time, at today's price.",
        labels=["lane", "state"],
    )
    for lane in lanes:
        for state, amount in (("busy", lane.busy_cost), ("idle", lane.idle_cost)):
            if amount is not None:
                family.add_metric([lane.lane, state], amount)
    return family


def _utilization(lanes: list[LaneWork]) -> Metric:
    family = GaugeMetricFamily(
        "penstock_lane_utilization_ratio",
        "Busy share of worker children's time, since it has been counted.",
        labels=["lane"],
    )
    for lane in lanes:
        if lane.utilization is not None:
            family.add_metric([lane.lane], lane.utilization)
    return family

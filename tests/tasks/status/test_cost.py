"""The arithmetic of cost, and what Prometheus is shown of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.metrics.cost import cost_metrics
from tasks.status.cost import Prices, cost, lanes_of, per_1000, sum_known, tiers_of
from tasks.store.series import select_series

PRICES: Prices = {"gpu": 3.6, "cpu": 0.36}
UNSET: Prices = {"gpu": None, "cpu": None}
SERIES = {
    "device|p|gpu|big": "10000000",
    "device|p|gpu|small": "500000",
    "device|p|cpu|small": "2000000",
    "items|p|gpu|big": "4000",
    "items|p|cpu|small": "1000",
    "worker|gpu|busy": "15000000",
    "worker|gpu|idle": "45000000",
    "worker|cpu|busy": "4000000",
    "worker|cpu|idle": "0",
    "jobs|p|succeeded": "7",
}


def samples(series: Mapping[str, str], prices: Prices) -> dict[tuple[str, ...], float]:
    """Values by metric name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in cost_metrics(series, prices)
        for sample in family.samples
    }


def test_a_cost_is_the_share_of_an_hours_price() -> None:
    assert cost(1_800, 2.5) == 1.25
    assert cost(1_800, 0) == 0
    assert cost(1_800, None) is None


def test_a_cost_per_1000_needs_items_and_a_cost() -> None:
    assert per_1000(0.5, 250) == 2
    assert per_1000(0.5, 0) is None
    assert per_1000(None, 250) is None


def test_a_sum_of_which_a_part_is_not_known_is_not_known() -> None:
    assert sum_known([1, 2.5]) == 3.5
    assert sum_known([1, None]) is None
    assert sum_known([]) == 0


def test_series_of_a_name_are_found_by_their_labels() -> None:
    assert select_series(SERIES, "worker") == {
        ("gpu", "busy"): 15_000_000,
        ("gpu", "idle"): 45_000_000,
        ("cpu", "busy"): 4_000_000,
        ("cpu", "idle"): 0,
    }
    assert select_series(SERIES, "work") == {}


def test_a_tier_costs_the_time_that_it_ran() -> None:
    cpu, big, small = tiers_of(SERIES, PRICES)
    assert (big.lane, big.tier, big.items, big.device_s) == ("gpu", "big", 4_000, 10)
    assert big.cost_per_1000 == pytest.approx(0.0025)  # 10 s at 3.6 an hour for 4,000
    assert cpu.cost_per_1000 == pytest.approx(0.0002)
    assert (small.device_s, small.items, small.cost_per_1000) == (0.5, 0, None)


def test_a_lane_costs_its_idle_time_too() -> None:
    cpu, gpu = lanes_of(SERIES, PRICES)
    assert (gpu.lane, gpu.busy_s, gpu.idle_s, gpu.device_s) == ("gpu", 15, 45, 10.5)
    assert gpu.utilization == 0.25
    assert gpu.busy_cost == pytest.approx(0.015)
    assert gpu.idle_cost == pytest.approx(0.045)
    assert gpu.cost_per_1000 == pytest.approx(0.015)
    assert gpu.cost_per_1000_busy == pytest.approx(0.00375)
    assert cpu.utilization == 1
    assert cpu.cost_per_1000 == cpu.cost_per_1000_busy == pytest.approx(0.0004)


def test_a_lane_that_has_reported_no_time_has_no_utilisation() -> None:
    (gpu,) = lanes_of({"worker|gpu|busy": "0", "worker|gpu|idle": "0"}, PRICES)
    assert gpu.utilization is None
    assert gpu.busy_cost == 0
    assert gpu.cost_per_1000 is None


def test_fuller_batches_and_lower_tiers_show_as_lower_costs() -> None:
    """The same 4,000 items in half the time; a tenth of them sent to the cheaper lane."""
    (before,) = tiers_of({"device|p|gpu|big": "10000000", "items|p|gpu|big": "4000"}, PRICES)
    (batched,) = tiers_of({"device|p|gpu|big": "5000000", "items|p|gpu|big": "4000"}, PRICES)
    assert before.cost_per_1000
    assert batched.cost_per_1000 == pytest.approx(before.cost_per_1000 / 2)
    routed, _, _ = tiers_of(SERIES, PRICES)
    assert routed.cost_per_1000
    assert routed.cost_per_1000 < before.cost_per_1000


def test_prometheus_is_shown_costs_and_utilisation() -> None:
    assert samples(SERIES, PRICES) == {
        ("penstock_cost_per_1000", "p", "gpu", "big"): pytest.approx(0.0025),
        ("penstock_cost_per_1000", "p", "cpu", "small"): pytest.approx(0.0002),
        ("penstock_cost_total", "gpu", "busy"): pytest.approx(0.015),
        ("penstock_cost_total", "gpu", "idle"): pytest.approx(0.045),
        ("penstock_cost_total", "cpu", "busy"): pytest.approx(0.0004),
        ("penstock_cost_total", "cpu", "idle"): 0,
        ("penstock_lane_utilization_ratio", "gpu"): 0.25,
        ("penstock_lane_utilization_ratio", "cpu"): 1,
    }


def test_without_prices_prometheus_is_shown_utilisation_alone() -> None:
    assert {name for name, *_ in samples(SERIES, UNSET)} == {"penstock_lane_utilization_ratio"}


def test_a_lane_without_a_price_leaves_the_other_its_costs() -> None:
    found = samples(SERIES, {"gpu": 3.6, "cpu": None})
    assert {labels[-2:] for labels in found if labels[0].startswith("penstock_cost")} == {
        ("gpu", "big"),
        ("gpu", "busy"),
        ("gpu", "idle"),
    }


def test_before_anything_is_counted_there_are_no_samples() -> None:
    assert samples({}, PRICES) == {}

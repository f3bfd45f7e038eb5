"""What lanes and tiers cost, as the page shows it; see docs/cost.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.config.settings import Settings
from tasks.status.cost import any_price, lanes_of, prices_of, tiers_of


def cost(series: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """priced: whether any lane has a price; amounts without one are null."""
    prices = prices_of(settings)
    return {
        "priced": any_price(prices),
        "lanes": [
            {
                "lane": lane.lane,
                "busy_s": lane.busy_s,
                "idle_s": lane.idle_s,
                "device_s": lane.device_s,
                "items": lane.items,
                "utilization": lane.utilization,
                "busy_cost": lane.busy_cost,
                "idle_cost": lane.idle_cost,
                "cost_per_1000": lane.cost_per_1000,
            }
            for lane in lanes_of(series, prices)
        ],
        "tiers": [
            {
                "pipeline": tier.pipeline,
                "lane": tier.lane,
                "tier": tier.tier,
                "items": tier.items,
                "device_s": tier.device_s,
                "cost_per_1000": tier.cost_per_1000,
            }
            for tier in tiers_of(series, prices)
        ],
    }

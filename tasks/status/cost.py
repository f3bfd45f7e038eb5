"""Cost of lanes and tiers, computed from counters and prices. docs/cost.md explains the figures.

    cost            = seconds * price per hour / 3600
    cost per 1,000  = cost / items * 1000
    utilisation     = busy seconds / (busy seconds + idle seconds)

There are three kinds of seconds. Device: a call of a tier ran. Busy: any code of a pipeline ran in
a worker child, device seconds included. Idle: a child with loaded models had nothing to do. A price
is for an hour of one worker child, whatever it does; a lane without a price has no costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.store.series import select_series

PER_HOUR: Final = 3_600
_MICRO: Final = 1e-6

Prices = Mapping[str, float | None]  # by lane; None: not set


def prices_of(settings: Settings) -> Prices:
    """The prices per hour that are set, by lane."""
    return {Lane.GPU: settings.gpu_price, Lane.CPU: settings.cpu_price}


def any_price(prices: Prices) -> bool:
    """Whether any lane has a price; if none has, no sum is shown, not even 0."""
    return any(price is not None for price in prices.values())


def cost(seconds: float, price: float | None) -> float | None:
    """Cost in the price's currency; None without a price. price: per hour."""
    return None if price is None else seconds * price / PER_HOUR


def per_1000(money: float | None, items: int) -> float | None:
    """Cost per 1,000 items; None without items, or if the cost is not known."""
    return money / items * 1_000 if money is not None and items > 0 else None


def sum_known(amounts: Sequence[float | None]) -> float | None:
    """Sum of the amounts; None if any of them is not known, since a partial sum misleads."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


@dataclass(frozen=True, slots=True)
class TierWork:
    """Work of a tier. items: answered by it. device_s: of all its calls, failed ones too."""

    pipeline: str
    lane: str
    tier: str
    items: int
    device_s: float
    price: float | None

    @property
    def cost_per_1000(self) -> float | None:
        return per_1000(cost(self.device_s, self.price), self.items)


@dataclass(frozen=True, slots=True)
class LaneWork:
    """Work of all worker children of a lane. items: answered by its tiers."""

    lane: str
    busy_s: float
    idle_s: float
    device_s: float
    items: int
    price: float | None

    @property
    def utilization(self) -> float | None:
        """From 0 to 1; None before a worker has reported its times."""
        whole = self.busy_s + self.idle_s
        return self.busy_s / whole if whole > 0 else None

    @property
    def busy_cost(self) -> float | None:
        return cost(self.busy_s, self.price)

    @property
    def idle_cost(self) -> float | None:
        return cost(self.idle_s, self.price)

    @property
    def cost_per_1000(self) -> float | None:
        """Cost per 1,000 items including idle time: what is really paid."""
        return per_1000(cost(self.busy_s + self.idle_s, self.price), self.items)

    @property
    def cost_per_1000_busy(self) -> float | None:
        """Cost per 1,000 items as if idle time cost nothing."""
        return per_1000(self.busy_cost, self.items)


def tiers_of(series: Mapping[str, str], prices: Prices) -> list[TierWork]:
    """Each tier that ran or answered, ordered by lane. series: the hash ps:series."""
    items, device = select_series(series, "items"), select_series(series, "device")
    found = []
    for pipeline, lane, tier in sorted(items.keys() | device.keys(), key=lambda of: (of[1], of)):
        of = (pipeline, lane, tier)
        device_s = device.get(of, 0) * _MICRO
        found.append(TierWork(*of, items.get(of, 0), device_s, prices.get(lane)))
    return found


def lanes_of(series: Mapping[str, str], prices: Prices) -> list[LaneWork]:
    """Each lane whose workers have reported their times. series: the hash ps:series."""
    tiers, reported = tiers_of(series, prices), select_series(series, "worker")
    return [
        LaneWork(
            lane=lane,
            busy_s=reported.get((lane, "busy"), 0) * _MICRO,
            idle_s=reported.get((lane, "idle"), 0) * _MICRO,
            device_s=sum(tier.device_s for tier in tiers if tier.lane == lane),
            items=sum(tier.items for tier in tiers if tier.lane == lane),
            price=prices.get(lane),
        )
        for lane in sorted({lane for lane, _ in reported})
    ]

"""/v1/usage: usage by day and pipeline, and its cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, g

from app.access_control.authentication import requires
from app.api_keys.principal import Scope
from app.http.errors import Forbidden
from app.http.query_params import load_query, takes
from app.http.responses import respond
from app.schemas.usage_query import PARAMETERS, UsageQuery, UsageRange, day_of, period
from app.services import services
from tasks.status.cost import (
    LaneWork,
    Prices,
    TierWork,
    any_price,
    cost,
    lanes_of,
    prices_of,
    sum_known,
    tiers_of,
)
from tasks.status.usage import DailyUsage, read_usage, today

usage = Blueprint("usage", __name__, url_prefix="/v1/usage")

_QUERY = UsageQuery()


@usage.get("")
@takes(*PARAMETERS)
@requires(Scope.JOBS)
def show() -> Response:
    """Your usage by day, and its cost.

    Days are in UTC, by the time at which a job ended or an item was answered. The cost is that of
    the time in which tiers ran for you; null: the lane has no price, or a lane in the sum has none.
    With the scope `admin` there is `fleet` too, and `owner` may be another owner.
    """
    store, asked = services().store, read_usage_range()
    used, series = read_usage(store, asked.owner, asked.days, g.principal.may(Scope.ADMIN))
    prices = prices_of(store.settings)
    shown = _usage(asked, used, prices)
    if g.principal.may(Scope.ADMIN):
        shown["fleet"] = _fleet(series, prices)
    return respond(shown)


def read_usage_range() -> UsageRange:
    """Read what the query asks for.

    Raises:
        BadRequest: it names every parameter that is wrong.
        Forbidden: it asks for another owner, without the scope admin.
    """
    query = load_query(_QUERY)
    owner = query.get("owner", g.principal.owner)
    if owner != g.principal.owner and not g.principal.may(Scope.ADMIN):
        raise Forbidden(f"Another owner's usage needs a key with the scope '{Scope.ADMIN}'.")
    return UsageRange(owner, *period(query, day_of(today(services().store))))


def _usage(asked: UsageRange, used: Sequence[DailyUsage], prices: Prices) -> dict[str, Any]:
    by_pipeline: dict[tuple[str, str], list[DailyUsage]] = defaultdict(list)
    for one in used:
        by_pipeline[one.lane, one.pipeline].append(one)
    return {
        "owner": asked.owner,
        "from": asked.first.isoformat(),
        "to": asked.last.isoformat(),
        "days": [
            {
                "date": day_of(one.day).isoformat(),
                **_lane_and_pipeline(one),
                **_sums([one], prices),
            }
            for one in used
        ],
        "by_pipeline": [
            {**_lane_and_pipeline(of[0]), **_sums(of, prices)}
            for _, of in sorted(by_pipeline.items())
        ],
        "total": _sums(used, prices),
    }


def _lane_and_pipeline(one: DailyUsage) -> dict[str, str]:
    return {"lane": one.lane, "pipeline": one.pipeline}


def _sums(used: Sequence[DailyUsage], prices: Prices) -> dict[str, Any]:
    costs = [cost(one.device_us / 1e6, prices.get(one.lane)) for one in used]
    return {
        "jobs": sum(one.jobs for one in used),
        "items": sum(one.items for one in used),
        "cached_items": sum(one.cached for one in used),
        "device_seconds": sum(one.device_us for one in used) / 1e6,
        "cost": sum_known(costs) if any_price(prices) else None,
    }


def _fleet(series: Mapping[str, str], prices: Prices) -> dict[str, Any]:
    return {
        "lanes": [_lane(lane) for lane in lanes_of(series, prices)],
        "tiers": [_tier(tier) for tier in tiers_of(series, prices)],
    }


def _lane(lane: LaneWork) -> dict[str, Any]:
    return {
        "lane": lane.lane,
        "price_per_hour": lane.price,
        "busy_seconds": lane.busy_s,
        "idle_seconds": lane.idle_s,
        "utilization": lane.utilization,
        "device_seconds": lane.device_s,
        "items": lane.items,
        "busy_cost": lane.busy_cost,
        "idle_cost": lane.idle_cost,
        "cost_per_1000": lane.cost_per_1000,
        "cost_per_1000_busy": lane.cost_per_1000_busy,
    }


def _tier(tier: TierWork) -> dict[str, Any]:
    return {
        "pipeline": tier.pipeline,
        "lane": tier.lane,
        "tier": tier.tier,
        "items": tier.items,
        "device_seconds": tier.device_s,
        "cost_per_1000": tier.cost_per_1000,
    }

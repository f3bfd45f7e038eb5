"""Usage and cost in the document: schemas, parameters, example and entry of the table."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Range

from app.api_keys.principal import OWNER_PATTERN
from app.openapi.answers import Shape
from app.openapi.operation import Operation, ResponseEntry
from app.schemas.usage_query import USUAL_DAYS
from tasks.jobs.lanes import Lane
from tasks.status.usage import KEPT_DAYS

_NO_PRICE = "null: the lane has no price."
_NONE_PER_1000 = "null: the lane has no price, or there were no items."


def _amount(says: str, none: bool = False) -> fields.Float:
    return fields.Float(
        required=True, allow_none=none, validate=Range(0), metadata={"description": says}
    )


def _count(says: str) -> fields.Integer:
    return fields.Integer(required=True, validate=Range(0), metadata={"description": says})


def _text(says: str) -> fields.String:
    return fields.String(required=True, metadata={"description": says})


def _day(says: str) -> fields.Date:
    return fields.Date(required=True, metadata={"description": says})


def _lane() -> fields.String:
    return fields.String(
        required=True,
        validate=OneOf([Lane.GPU, Lane.CPU]),
        metadata={"description": "The lane in which the work ran."},
    )


class UsedShape(Shape):
    """Amounts used: jobs, items, device time and its cost."""

    jobs = _count("Jobs that ended, with any status.")
    items = _count(
        "Items that were answered or failed; of a cancelled job, those before it was cancelled."
    )
    cached_items = _count("Those of them that were answered from the cache.")
    device_seconds = _amount("Time that tiers ran for them.")
    cost = _amount("Cost of that time. null: a lane in it has no price.", none=True)


class UsedOfPipelineShape(UsedShape):
    """Amounts used of one pipeline in one lane."""

    lane = _lane()
    pipeline = _text("As in `pipeline` of a job.")


class UsedOfDayShape(UsedOfPipelineShape):
    """Amounts used of one pipeline in one lane on one day."""

    date = _day("A day in UTC.")


class LaneCostShape(Shape):
    """What a lane's workers cost, busy and idle, and per 1,000 items."""

    lane = _lane()
    price_per_hour = _amount("Price of one worker child. " + _NO_PRICE, none=True)
    busy_seconds = _amount("Time in which pipeline code ran, over all worker children.")
    idle_seconds = _amount("Time in which worker children were idle.")
    utilization = _amount("Busy share, 0 to 1. null: no time has been counted.", none=True)
    device_seconds = _amount("Time that tiers ran, a part of the busy seconds.")
    items = _count("Items that tiers answered, without those from the cache.")
    busy_cost = _amount("Cost of the busy seconds. " + _NO_PRICE, none=True)
    idle_cost = _amount("Cost of the idle seconds. " + _NO_PRICE, none=True)
    cost_per_1000 = _amount("Cost of all seconds, per 1,000 items. " + _NONE_PER_1000, none=True)
    cost_per_1000_busy = _amount(
        "Cost of the busy seconds, per 1,000 items. " + _NONE_PER_1000, none=True
    )


class TierCostShape(Shape):
    """What a tier's device time costs per 1,000 items."""

    pipeline = _text("As in `pipeline` of a job.")
    lane = _lane()
    tier = _text("As in outputs.")
    items = _count("Items that the tier answered.")
    device_seconds = _amount("Time that the tier ran, including failed calls.")
    cost_per_1000 = _amount("Cost of that time, per 1,000 items. " + _NONE_PER_1000, none=True)


class FleetCostShape(Shape):
    """Totals since counting began, independent of the days in the query."""

    lanes = fields.List(fields.Nested(LaneCostShape), required=True)
    tiers = fields.List(fields.Nested(TierCostShape), required=True)


UsageShape: type[Schema] = Shape.from_dict(  # `from` cannot be the name of an attribute
    {
        "owner": _text("Whose usage it is."),
        "from": _day("The first day, in UTC."),
        "to": _day("The last day; it may not be over yet."),
        "days": fields.List(
            fields.Nested(UsedOfDayShape),
            required=True,
            metadata={"description": "Oldest first; without entries for no usage."},
        ),
        "by_pipeline": fields.List(fields.Nested(UsedOfPipelineShape), required=True),
        "total": fields.Nested(UsedShape, required=True),
        "fleet": fields.Nested(
            FleetCostShape, metadata={"description": "With the scope admin only."}
        ),
    },
    name="UsageShape",
)

COMPONENTS: tuple[type[Schema], ...] = (
    *(
        UsedShape,
        UsedOfPipelineShape,
        UsedOfDayShape,
        LaneCostShape,
        TierCostShape,
        FleetCostShape,
        UsageShape,
    ),
)

# OpenAPI parameter objects; the key is also the component's name.
USAGE_PARAMETERS: dict[str, dict[str, Any]] = {
    "UsageDays": {
        "name": "days",
        "in": "query",
        "description": "The number of days, the last of which is today.",
        "schema": {"type": "integer", "minimum": 1, "maximum": KEPT_DAYS, "default": USUAL_DAYS},
    },
    "UsageFrom": {
        "name": "from",
        "in": "query",
        "description": f"Instead of `days`: the first day (UTC), at most {KEPT_DAYS - 1} days ago.",
        "schema": {"type": "string", "format": "date"},
    },
    "UsageTo": {
        "name": "to",
        "in": "query",
        "description": "With `from`: the last day (UTC); today if it is left out.",
        "schema": {"type": "string", "format": "date"},
    },
    "UsageOwner": {
        "name": "owner",
        "in": "query",
        "description": "Another owner; only with the scope admin.",
        "schema": {"type": "string", "pattern": f"^{OWNER_PATTERN}$"},
    },
}

_USED: dict[str, Any] = {
    "jobs": 1_200,
    "items": 5_400,
    "cached_items": 400,
    "device_seconds": 36.0,
    "cost": 0.025,
}
_PLACE = {"lane": "gpu", "pipeline": "moderation"}
_EXAMPLE: dict[str, Any] = {
    "owner": "acme",
    "from": "2026-11-18",
    "to": "2026-11-18",
    "days": [{"date": "2026-11-18", **_PLACE, **_USED}],
    "by_pipeline": [{**_PLACE, **_USED}],
    "total": _USED,
}
_FLEET: dict[str, Any] = {
    "lanes": [
        {
            "lane": "gpu",
            "price_per_hour": 2.5,
            "busy_seconds": 1_800.0,
            "idle_seconds": 1_800.0,
            "utilization": 0.5,
            "device_seconds": 1_440.0,
            "items": 250_000,
            "busy_cost": 1.25,
            "idle_cost": 1.25,
            "cost_per_1000": 0.01,
            "cost_per_1000_busy": 0.005,
        }
    ],
    "tiers": [
        {
            **_PLACE,
            "tier": "transformer",
            "items": 250_000,
            "device_seconds": 1_440.0,
            "cost_per_1000": 0.004,
        }
    ],
}

USAGE: dict[str, Operation] = {
    "usage.show": Operation(
        id="showUsage",
        tag="Usage",
        parameters=("UsageDays", "UsageFrom", "UsageTo", "UsageOwner"),
        responses=(
            ResponseEntry(
                200,
                "The usage.",
                "Usage",
                {"own": _EXAMPLE, "admin": _EXAMPLE | {"fleet": _FLEET}},
            ),
        ),
    ),
}

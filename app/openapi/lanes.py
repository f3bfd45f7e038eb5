"""Lanes in the document: schema, example and entry of the table."""

from __future__ import annotations

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Range

from app.http import errors
from app.openapi.answers import Shape
from app.openapi.operation import Operation, ResponseEntry
from tasks.autoscaling.decisions import LANES


def _count(says: str) -> fields.Integer:
    return fields.Integer(required=True, validate=Range(0), metadata={"description": says})


def _number(says: str) -> fields.Float:
    return fields.Float(required=True, validate=Range(0), metadata={"description": says})


class LaneScaleShape(Shape):
    """A lane's last autoscaling decision and its present load."""

    lane = fields.String(
        required=True, validate=OneOf(list(LANES)), metadata={"description": "As in the path."}
    )
    desired = _count("Workers that the lane should have, by the last decision.")
    current = _count("Workers that are alive.")
    depth = _count("Units in the lane, including those that workers hold.")
    oldest_age_s = _number("Seconds that the oldest waiting unit has waited; 0: no unit waits.")
    drain_rate = _number("Units per second that were finished recently.")


COMPONENTS: tuple[type[Schema], ...] = (LaneScaleShape,)

_EXAMPLE = {
    "lane": "gpu",
    "desired": 3,
    "current": 1,
    "depth": 4_120,
    "oldest_age_s": 7.4,
    "drain_rate": 310.5,
}

LANE: dict[str, Operation] = {
    "lanes.scale": Operation(
        id="showScale",
        tag="Service",
        parameters=("LaneName",),
        errors=(errors.LaneNotFound,),
        responses=(
            ResponseEntry(200, "The decision and the load.", "LaneScale", {"gpu": _EXAMPLE}),
        ),
    ),
}

"""/v1/lanes: how many workers a lane should have, for what starts and ends them."""

from __future__ import annotations

from flask import Blueprint, Response

from app.auth import requires
from app.errors import LaneNotFound
from app.principal import Scope
from app.responses import respond
from app.services import services
from tasks import scaling
from tasks.lanes import Lane

lanes = Blueprint("lanes", __name__, url_prefix="/v1/lanes")


@lanes.get("/<lane>/scale")
@requires(Scope.METRICS)
def scale(lane: str) -> Response:
    """How many workers a lane should have, and what that was decided from.

    KEDA's metrics-api scaler reads `desired`; docs/autoscaling.md has an example.
    """
    if lane not in scaling.LANES:
        raise LaneNotFound(f"The lane must be one of: {', '.join(scaling.LANES)}.")
    return respond(scaling.show(services().store, Lane(lane)))

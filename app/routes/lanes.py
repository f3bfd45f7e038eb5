"""/v1/lanes: how many workers a lane should have, for external autoscalers."""

from __future__ import annotations

from flask import Blueprint, Response

from app.access_control.authentication import requires
from app.api_keys.principal import Scope
from app.http.errors import LaneNotFound
from app.http.responses import respond
from app.services import services
from tasks.autoscaling import decisions
from tasks.jobs.lanes import Lane

lanes = Blueprint("lanes", __name__, url_prefix="/v1/lanes")


@lanes.get("/<lane>/scale")
@requires(Scope.METRICS)
def scale(lane: str) -> Response:
    """How many workers a lane should have, and the load from which that was decided.

    KEDA's metrics-api scaler reads `desired`; docs/autoscaling.md has an example.
    """
    if lane not in decisions.LANES:
        raise LaneNotFound(f"The lane must be one of: {', '.join(decisions.LANES)}.")
    return respond(decisions.view_lane(services().store, Lane(lane)))

"""For operators and their tools: liveness, readiness, metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST
from redis import RedisError

from app.auth import key_required
from app.metrics import exposition
from app.responses import respond
from app.services import services
from tasks.health import examine

ops = Blueprint("ops", __name__)


@ops.get("/livez")
def live() -> Response:
    """This process answers."""
    return respond({"status": "ok"})


@ops.get("/readyz")
def ready() -> Response:
    """Whether a job submitted now could finish, and if not, why."""
    try:
        health = examine(services().store)
    except RedisError as error:
        return respond({"status": "unready", "reasons": [f"redis: {type(error).__name__}"]}, 503)
    if reasons := health.missing():
        return respond({"status": "unready", "reasons": reasons}, 503)
    return respond({"status": "ready", "workers": health.workers})


@ops.get("/metrics")
@key_required
def metrics() -> Response:
    """Prometheus text exposition; counts come from Redis, so any process tells the whole."""
    text = exposition(examine(services().store))
    return Response(text, content_type=CONTENT_TYPE_LATEST)

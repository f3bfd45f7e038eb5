"""For operators and their tools: liveness, readiness, metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST
from redis import RedisError

from app.access_control.authentication import requires
from app.api_keys.principal import Scope
from app.http.responses import respond
from app.metrics.exposition import render_metrics
from app.services import services
from tasks.status.health import read_health
from tasks.telemetry.metrics.process import WEB_METRICS, process_metrics

ops = Blueprint("ops", __name__)


@ops.get("/livez")
def live() -> Response:
    """This process answers."""
    return respond({"status": "ok"})


@ops.get("/readyz")
def ready() -> Response:
    """Whether a job submitted now could finish, and what is missing.

    200 `ready`: as it should. 200 `degraded`: in one lane only, so that some answers come from a
    lower tier. 503 `unready`: not at all.
    """
    try:
        health = read_health(services().store)
    except RedisError as error:
        return respond({"status": "unready", "reasons": [f"redis: {type(error).__name__}"]}, 503)
    reasons = health.missing()
    if not health.could_finish:
        return respond({"status": "unready", "reasons": reasons}, 503)
    status = "degraded" if reasons else "ready"
    return respond({"status": status, "reasons": reasons, "workers": health.workers})


@ops.get("/metrics")
@requires(Scope.METRICS)
def metrics() -> Response:
    """Prometheus text exposition, of all web processes and of what Redis knows: docs/metrics.md."""
    return show_metrics()


def show_metrics() -> Response:
    """The same for whoever has been let in another way."""
    here = services()
    seen = process_metrics().collector(WEB_METRICS)
    text = render_metrics(here.store, here.pipelines.values(), seen)
    return Response(text, content_type=CONTENT_TYPE_LATEST)

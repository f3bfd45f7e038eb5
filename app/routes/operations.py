"""/livez, /readyz and /metrics: probes and metrics for operators and their tools."""

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
    """Whether this process answers."""
    return respond({"status": "ok"})


@ops.get("/readyz")
def ready() -> Response:
    """Whether a job submitted now could finish, and what is missing.

    200 `ready`: all lanes work. 200 `degraded`: only one lane works, so some answers come from a
    lower tier. 503 `unready`: no job could finish.
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
    """Metrics of all web processes, and of the counters in Redis, as Prometheus text."""
    return show_metrics()


def show_metrics() -> Response:
    """Respond with the metrics, for a caller whose access has been checked."""
    here = services()
    seen = process_metrics().collector(WEB_METRICS)
    text = render_metrics(here.store, here.pipelines.values(), seen)
    return Response(text, content_type=CONTENT_TYPE_LATEST)

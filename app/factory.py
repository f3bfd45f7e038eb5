"""The Flask application factory of the API; it must not import torch."""

from __future__ import annotations

from flask import Flask

from app.access_control import rate_limits
from app.console.routes import console
from app.middleware import (
    access_log,
    concurrency_limit,
    cors,
    error_handlers,
    query_check,
    request_id,
    request_metrics,
    security_headers,
    slow_bodies,
    unread_body,
)
from app.routes.api_docs import docs
from app.routes.deliveries import deliveries
from app.routes.jobs.views import jobs
from app.routes.lanes import lanes
from app.routes.operations import ops
from app.routes.pipelines import pipelines
from app.routes.usage import usage
from app.routes.webhook_endpoints import webhook_endpoints
from app.routes.webhook_secret import webhook_secret
from app.services import EXTENSION, Services
from tasks.config.settings import Settings

BLUEPRINTS = (
    *(jobs, deliveries, webhook_endpoints, webhook_secret, pipelines, usage, lanes),
    *(ops, docs, console),
)


def create_app(settings: Settings) -> Flask:
    """Build the application, and everything it needs, from `settings` alone."""
    app = Flask("penstock", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions[EXTENSION] = services = Services.build(settings)
    request_metrics.install(app)
    request_id.install(app)
    access_log.install(app, services.tracer)
    rate_limits.install(app)
    security_headers.install(app)
    slow_bodies.install(app, settings)
    concurrency_limit.install(app, settings.web_threads)
    error_handlers.install(app, services.pipelines)
    unread_body.install(app)
    query_check.install(app)
    cors.install(app, settings.cors_origins)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app

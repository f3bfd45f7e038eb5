"""The Flask API: gates in front of the lanes. It never imports torch."""

from __future__ import annotations

from flask import Flask

from app import (
    access,
    bodies,
    cli,
    cors,
    crowding,
    errors,
    limits,
    queries,
    request_ids,
    request_metrics,
    security_headers,
    uploads,
)
from app.console.routes import console
from app.deliveries import deliveries
from app.docs import docs
from app.jobs import jobs
from app.lanes import lanes
from app.ops import ops
from app.pipelines import pipelines
from app.services import EXTENSION, Services
from app.usage import usage
from app.webhook_endpoints import webhook_endpoints
from app.webhook_secret import webhook_secret
from tasks.settings import Settings

BLUEPRINTS = (
    *(jobs, deliveries, webhook_endpoints, webhook_secret, pipelines, usage, lanes),
    *(ops, docs, console),
)


def create_app(settings: Settings) -> Flask:
    """The application, with everything it needs built from `settings` alone."""
    app = Flask("penstock", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions[EXTENSION] = services = Services.build(settings)
    request_metrics.install(app)
    request_ids.install(app)
    access.install(app, services.tracer)
    limits.install(app)
    security_headers.install(app)
    uploads.install(app, settings)
    crowding.install(app, settings.web_threads)
    errors.install(app)
    bodies.install(app)
    cli.install(app)
    queries.install(app)
    cors.install(app, settings.cors_origins)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app

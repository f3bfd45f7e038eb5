"""/v1/pipelines: what is served, and what it wants."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Response

from app.auth import key_required
from app.errors import PipelineNotFound
from app.responses import respond
from app.services import services
from ml.pipeline import Pipeline

pipelines = Blueprint("pipelines", __name__, url_prefix="/v1/pipelines")


@pipelines.get("")
@key_required
def index() -> Response:
    """Every pipeline served here."""
    return respond({"pipelines": [card(line) for line in services().pipelines.values()]})


@pipelines.get("/<name>")
@key_required
def show(name: str) -> Response:
    """One pipeline: input schema, tiers, version, and what it says of itself."""
    served = services().pipelines
    if name not in served:
        raise PipelineNotFound(
            f"There is no such pipeline; there are: {', '.join(sorted(served))}."
        )
    return respond(card(served[name]))


def card(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "version": pipeline.version,
        "tiers": [{"name": t.name, "timeout_ms": t.timeout_s * 1000} for t in pipeline.tiers],
        "input": _json_schema(pipeline),
        "example": pipeline.example,
        **pipeline.describe(),
    }


def _json_schema(pipeline: Pipeline) -> dict[str, Any]:
    plugin = MarshmallowPlugin()
    APISpec("penstock", "1", "3.1.0", plugins=[plugin])
    if plugin.converter is None:
        raise RuntimeError("apispec gave its marshmallow plugin no converter")
    return dict(plugin.converter.schema2jsonschema(pipeline.input_schema()))

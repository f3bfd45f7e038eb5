"""/v1/pipelines: what is served, and what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from app.auth import requires
from app.errors import PipelineNotFound
from app.openapi.convert import Shapes
from app.principal import Scope
from app.responses import respond
from app.services import services
from ml.pipeline import Pipeline
from tasks.breakers import State, breaker_of, states

pipelines = Blueprint("pipelines", __name__, url_prefix="/v1/pipelines")


@pipelines.get("")
@requires(Scope.JOBS)
def index() -> Response:
    """Every pipeline served here."""
    here = services()
    breakers = states(here.store, here.pipelines.values())
    return respond({"pipelines": [card(line, breakers) for line in here.pipelines.values()]})


@pipelines.get("/<name>")
@requires(Scope.JOBS)
def show(name: str) -> Response:
    """One pipeline: input schema, tiers, version, and what it says of itself."""
    here = services()
    if name not in here.pipelines:
        known = ", ".join(sorted(here.pipelines))
        raise PipelineNotFound(f"There is no such pipeline; there are: {known}.")
    pipeline = here.pipelines[name]
    return respond(card(pipeline, states(here.store, [pipeline])))


def card(pipeline: Pipeline, breakers: Mapping[str, State]) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "version": pipeline.version,
        "tiers": [
            {
                "name": tier.name,
                "timeout_ms": tier.timeout_s * 1000,
                "breaker": breakers[breaker_of(pipeline.name, tier.name)],
            }
            for tier in pipeline.tiers
        ],
        "input": Shapes().json_schema(pipeline.input_schema()),
        "example": pipeline.example,
        **pipeline.describe(),
    }

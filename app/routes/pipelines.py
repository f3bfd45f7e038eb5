"""/v1/pipelines: the served pipelines, their input schemas and drift reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from app.access_control.authentication import requires
from app.api_keys.principal import Scope
from app.http.errors import PipelineNotFound
from app.http.responses import respond
from app.openapi.convert import SchemaConverter
from app.services import services
from ml.pipeline import Pipeline
from tasks.drift import reports
from tasks.jobs.lanes import Lane
from tasks.queue.circuit_breakers import BreakerState, breaker_name, states

pipelines = Blueprint("pipelines", __name__, url_prefix="/v1/pipelines")


@pipelines.get("")
@requires(Scope.JOBS)
def index() -> Response:
    """Every pipeline served here."""
    here = services()
    breakers = states(here.store, here.pipelines.values())
    return respond({"pipelines": [pipeline_view(one, breakers) for one in here.pipelines.values()]})


@pipelines.get("/<name>")
@requires(Scope.JOBS)
def show(name: str) -> Response:
    """One pipeline: input schema, tiers, version, and its own description."""
    pipeline = _served(name)
    return respond(pipeline_view(pipeline, states(services().store, [pipeline])))


@pipelines.get("/<name>/drift")
@requires(Scope.JOBS)
def show_drift(name: str) -> Response:
    """The latest drift report: whether inputs and answers still resemble the reference.

    Each feature has its test, effect and verdict, and a text that says what has changed.
    """
    return respond(reports.latest_report(services().store, _served(name)))


@pipelines.post("/<name>/drift")
@requires(Scope.ADMIN)
def compare_drift(name: str) -> Response:
    """Make a drift report now, not at the next interval; needs a key with the scope `admin`."""
    here, pipeline = services(), _served(name)
    if reports.compare_and_save(here.store, pipeline):
        here.waker.wake(Lane.WEBHOOKS, 1)
    return respond(reports.latest_report(here.store, pipeline))


def _served(name: str) -> Pipeline:
    """The pipeline of that name, or `PipelineNotFound`, which names the served ones."""
    here = services()
    if name not in here.pipelines:
        known = ", ".join(sorted(here.pipelines))
        raise PipelineNotFound(f"There is no such pipeline; there are: {known}.")
    return here.pipelines[name]


def pipeline_view(pipeline: Pipeline, breakers: Mapping[str, BreakerState]) -> dict[str, Any]:
    """A pipeline as clients see it. breakers: states by name."""
    return {
        "name": pipeline.name,
        "version": pipeline.version,
        "tiers": [
            {
                "name": tier.name,
                "timeout_ms": tier.timeout_s * 1000,
                "breaker": breakers[breaker_name(pipeline.name, tier.name)],
            }
            for tier in pipeline.tiers
        ],
        "input": SchemaConverter().json_schema(pipeline.input_schema()),
        "example": pipeline.example,
        **pipeline.describe(),
    }

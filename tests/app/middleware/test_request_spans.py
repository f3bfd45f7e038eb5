"""If traces are exported, each request is a span, and its job continues the trace."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from app.services import Services
from tasks.config.settings import Settings
from tasks.jobs.payload import Payload
from tasks.jobs.read import read_job
from tasks.store.client import Store
from tests.app.answers import NULL_JOB
from tests.app.conftest import client_of
from tests.collector import Collector, Spanned

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def traced(settings: Settings, store: Store, collector: Collector) -> Iterator[Flask]:
    level = logging.getLogger("opentelemetry").level
    app = create_app(replace(settings, otlp_endpoint=collector.url))
    yield app
    stop(app)
    logging.getLogger("opentelemetry").setLevel(level)


@pytest.fixture
def client(traced: Flask) -> FlaskClient:
    return client_of(traced)


def stop(app: Flask) -> None:
    services: Services = app.extensions["penstock"]
    assert services.tracer
    services.tracer.stop()


def only(app: Flask, collector: Collector) -> Spanned:
    stop(app)
    (span,) = collector.spans
    return span


def traceparent_of(store: Store, job_id: str) -> str:
    """The trace context of the job; that of its unit is the same."""
    job = read_job(store, job_id)
    assert job is not None
    entries = store.redis.xrange("ps:lane:gpu:normal")
    assert entries
    _, unit = entries[0]
    assert unit
    assert Payload.load(unit["payload"]).traceparent == job.spec.traceparent
    return job.spec.traceparent or ""


def test_a_submit_is_a_span_that_its_job_names_as_its_parent(
    traced: Flask, client: FlaskClient, store: Store, collector: Collector
) -> None:
    headers = {"X-Request-ID": "mine", "traceparent": TRACE}
    job_id = client.post("/v1/jobs", json=NULL_JOB, headers=headers).get_json()["id"]
    span = only(traced, collector)
    assert (span.trace_id, span.parent_id) == (TRACE[3:35], TRACE[36:52])
    assert traceparent_of(store, job_id)[3:52] == f"{span.trace_id}-{span.span_id}"
    assert (span.name, span.service) == ("POST /v1/jobs", "penstock-web")
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs",
        "http.response.status_code": 202,
        "penstock.request_id": "mine",
        "penstock.owner": "default",
        "penstock.job": job_id,
    }


def test_a_client_without_a_trace_begins_one(
    traced: Flask, client: FlaskClient, store: Store, collector: Collector
) -> None:
    job_id = client.post("/v1/jobs", json=NULL_JOB).get_json()["id"]
    span = only(traced, collector)
    assert span.parent_id == ""
    assert traceparent_of(store, job_id)[3:52] == f"{span.trace_id}-{span.span_id}"


def test_only_internal_errors_fail_a_span_and_paths_are_not_exported(
    traced: Flask, client: FlaskClient, collector: Collector
) -> None:
    client.get("/secret?secret=1")
    span = only(traced, collector)
    assert (span.name, span.failed) == ("GET", False)
    assert "secret" not in repr(span)


def test_probes_are_no_spans(traced: Flask, client: FlaskClient, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        client.get(path)
    stop(traced)
    assert collector.spans == []

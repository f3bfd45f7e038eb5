"""GET and POST /v1/pipelines/{name}/drift, its metrics, and who may receive its event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.api_keys.principal import Scope
from app.factory import create_app
from app.openapi.document import document
from tasks.config.settings import Settings
from tasks.drift.sampler import current_window
from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import problem_in
from tests.app.conftest import client_of
from tests.app.keys import made, with_key
from tests.tasks.drifting import traffic, watched

PATH = "/v1/pipelines/watched/drift"
ENDPOINTS = "/v1/webhook-endpoints"
WISH = {"url": "https://example.com/hook", "events": ["pipeline.drift"]}


@pytest.fixture(scope="module")
def app(settings: Settings) -> Flask:
    lines = ("ml.null:pipeline", "tests.tasks.drifting:watched")
    return create_app(replace(settings, pipelines=lines, drift_interval_s=86_400 * 365))


@pytest.fixture
def sampled(app: Flask, store: Store) -> Store:
    """A store whose current sample has texts twice as long as the reference's."""
    here: Store = app.extensions["penstock"].store
    key = keys.drift_sample(watched.name, watched.version, current_window(here))
    rows = enumerate(traffic(7, 600, longer=2))
    store.redis.zadd(key, {orjson.dumps([n / 600, row]).decode(): n / 600 for n, row in rows})
    return store


@pytest.fixture
def client(app: Flask, store: Store) -> FlaskClient:
    return client_of(app)


def as_described(app: Flask, report: dict[str, Any]) -> None:
    described = document(app)
    schema = {"$ref": "#/components/schemas/Drift", "components": described["components"]}
    assert list(jsonschema_rs.Draft202012Validator(schema).iter_errors(report)) == []


def test_without_enough_data_the_report_says_so_with_counts(
    app: Flask, client: FlaskClient
) -> None:
    for response in (client.get(PATH), client.post(PATH), client.get(PATH)):
        assert response.status_code == 200
        report = response.get_json()
        assert (report["verdict"], report["samples"], report["min_samples"]) == (
            "not_enough_data",
            0,
            500,
        )
        as_described(app, report)


@pytest.mark.usefixtures("sampled")
def test_a_report_made_on_demand_is_the_one_that_is_read(app: Flask, client: FlaskClient) -> None:
    before = client.get(PATH).get_json()
    assert (before["verdict"], before["samples"]) == ("not_enough_data", 600)
    made_now = client.post(PATH).get_json()
    assert client.get(PATH).get_json() == made_now
    assert (made_now["verdict"], made_now["alarm"], made_now["tier"]) == ("drift", True, "steady")
    as_described(app, made_now)
    length = made_now["features"][0]
    assert (length["name"], length["verdict"]) == ("length", "drift")
    assert length["q"] >= length["p"]
    assert length["effect"] == length["statistic"] > 0.3
    histogram = length["histogram"]
    assert len(histogram["bins"]) == len(histogram["reference"]) + 1
    assert sum(histogram["production"]) == pytest.approx(1, abs=1e-3)


def test_a_pipeline_without_a_reference_says_so(app: Flask, client: FlaskClient) -> None:
    report = client.get("/v1/pipelines/null/drift").get_json()
    assert report["verdict"] == "no_reference"
    as_described(app, report)


def test_an_unknown_pipeline_is_not_found(client: FlaskClient) -> None:
    for answer in (client.get("/v1/pipelines/nil/drift"), client.post("/v1/pipelines/nil/drift")):
        problem_in(answer, 404, "pipeline_not_found")


@pytest.mark.usefixtures("sampled")
def test_the_alarm_and_the_effects_are_metrics(client: FlaskClient) -> None:
    def shown() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(client.get("/metrics").text)
        drift = [f for f in families if f.name.startswith("penstock_drift_")]
        return {(s.name, *s.labels.values()): s.value for f in drift for s in f.samples}

    assert shown() == {}
    client.post(PATH)
    values = shown()
    assert values["penstock_drift_alert", "builtin", "watched"] == 1
    assert values["penstock_drift_effect", "length", "builtin", "watched"] > 0.3
    assert values["penstock_drift_effect", "class", "builtin", "watched"] == 0


@pytest.mark.usefixtures("store")
def test_only_an_admin_key_may_create_an_endpoint_for_drift(app: Flask) -> None:
    jobs = with_key(app, made(app, "acme", Scope.JOBS).key.text)
    admin = with_key(app, made(app, "root", Scope.ADMIN).key.text)
    problem = problem_in(jobs.post(ENDPOINTS, json=WISH), 403, "forbidden")
    assert problem["detail"] == "The event 'pipeline.drift' needs a key with the scope 'admin'."
    own = jobs.post(ENDPOINTS, json={"url": WISH["url"]}).get_json()
    assert "pipeline.drift" not in own["events"]
    changes = {"events": ["pipeline.drift"]}
    problem_in(jobs.patch(f"{ENDPOINTS}/{own['id']}", json=changes), 403, "forbidden")
    assert admin.post(ENDPOINTS, json=WISH).status_code == 201


def test_a_webhook_of_a_job_cannot_have_the_event_of_drift(client: FlaskClient) -> None:
    body = {"pipeline": "null", "input": {"text": "hello"}, "webhook": WISH}
    problem_in(client.post("/v1/jobs", json=body), 400, "invalid_request")

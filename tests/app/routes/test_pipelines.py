from __future__ import annotations

from flask.testing import FlaskClient

from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import job_in, problem_in


def test_all_pipelines_are_listed(client: FlaskClient) -> None:
    cards = client.get("/v1/pipelines").get_json()["pipelines"]
    assert [card["name"] for card in cards] == ["null", "echo"]


def test_a_pipeline_shows_its_schema_tiers_and_version(client: FlaskClient) -> None:
    response = client.get("/v1/pipelines/echo")
    assert response.status_code == 200
    card = response.get_json()
    assert card["version"] == "builtin"
    assert [tier["name"] for tier in card["tiers"]] == ["size"]
    assert card["input"]["required"] == ["text"]
    assert card["input"]["additionalProperties"] is False
    text = card["input"]["properties"]["text"]
    assert (text["minLength"], text["maxLength"]) == (1, 5_000)
    assert card["input"]["properties"]["user_id"]["pattern"] == "^[A-Za-z0-9_-]+$"
    assert card in client.get("/v1/pipelines").get_json()["pipelines"]


def test_a_pipeline_shows_the_breakers_of_its_tiers(client: FlaskClient, store: Store) -> None:
    assert client.get("/v1/pipelines/echo").get_json()["tiers"][0]["breaker"] == "closed"
    store.redis.hset(keys.BREAKERS, "echo/size", "5 4000000000000")
    assert client.get("/v1/pipelines/echo").get_json()["tiers"][0]["breaker"] == "open"


def test_the_example_of_a_pipeline_can_be_submitted_as_it_stands(client: FlaskClient) -> None:
    for card in client.get("/v1/pipelines").get_json()["pipelines"]:
        body = {"pipeline": card["name"], "input": card["example"]}
        job_in(client.post("/v1/jobs", json=body), 202)


def test_an_unknown_pipeline_is_refused_with_the_known_ones(client: FlaskClient) -> None:
    problem = problem_in(client.get("/v1/pipelines/nil"), 404, "pipeline_not_found")
    assert "echo, null" in problem["detail"]

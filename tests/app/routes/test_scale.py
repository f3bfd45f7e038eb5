"""GET /v1/lanes/{lane}/scale, and the metrics of the decision."""

from __future__ import annotations

from dataclasses import replace

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.openapi.document import document
from tasks.autoscaling.decisions import decide
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.autoscaling import SAVE_DECISION, SaveDecisionArgs
from tests.app.answers import NULL_JOB

BACKLOG = 40


def metrics(client: FlaskClient) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def busy(
    client: FlaskClient, store: Store, gpu_worker: Consumer, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """A lane with one worker that settles a unit a second, as has been seen, and room for nine."""
    for _ in range(BACKLOG):
        client.post("/v1/jobs", json=NULL_JOB)
    gpu_worker.renew()
    roomy = Store(store.redis, replace(store.settings, gpu_workers_max=9))
    began = store.now_us()
    for minutes in (0, 1, 2):
        now = began + minutes * 60_000_000
        monkeypatch.setattr(Store, "now_us", lambda _, now=now: now)
        store.redis.incrby(keys.settled(Lane.GPU), 60 * minutes)  # the last one was at `began`
        decide(roomy)
    later = began + 180_000_000
    monkeypatch.setattr(Store, "now_us", lambda _: later)
    store.redis.incrby(keys.settled(Lane.GPU), 180)
    return roomy


def test_before_any_decision_a_lane_should_have_the_fewest_workers_allowed(
    client: FlaskClient,
) -> None:
    answer = client.get("/v1/lanes/cpu/scale")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "lane": "cpu",
        "desired": 1,
        "current": 0,
        "depth": 0,
        "oldest_age_s": 0.0,
        "drain_rate": 0.0,
    }


def test_a_lane_that_drains_too_slowly_should_have_more_workers(
    app: Flask, client: FlaskClient, busy: Store
) -> None:
    decide(busy)
    found = client.get("/v1/lanes/gpu/scale").get_json()
    assert 1 < found["desired"] <= 9
    assert (found["current"], found["depth"]) == (1, BACKLOG)
    assert found["drain_rate"] == pytest.approx(1.0, rel=0.2)
    shown = metrics(client)
    assert shown["penstock_desired_workers", "gpu"] == found["desired"]
    assert shown["penstock_desired_workers", "cpu"] == 1
    assert shown["penstock_scaling_decisions_total", "up", "gpu"] >= 1
    assert ("penstock_scaling_decisions_total", "down", "gpu") not in shown
    schema = document(app)["components"]["schemas"]["LaneScale"]
    assert jsonschema_rs.is_valid(schema, found)


def test_within_a_second_nothing_is_decided_again(store: Store) -> None:
    decide(store)
    kept = store.redis.hgetall(keys.scale(Lane.GPU))
    decide(store)
    assert store.redis.hgetall(keys.scale(Lane.GPU)) == kept


def test_of_two_decisions_at_once_one_is_stored(busy: Store) -> None:
    before = busy.redis.hget(keys.scale(Lane.GPU), "decided")
    assert before is not None
    answers = [
        busy.run(SAVE_DECISION, SaveDecisionArgs(Lane.GPU, int(before), "{}", workers, 60, "1.0"))
        for workers in (2, 3)
    ]
    assert answers == [1, 0]
    assert busy.redis.hget(keys.scale(Lane.GPU), "desired") == "2"


def test_what_another_version_remembered_is_forgotten(busy: Store) -> None:
    busy.redis.hset(keys.scale(Lane.GPU), "memory", '{"of_another_version": 1}')
    decide(busy)
    assert "of_another_version" not in str(busy.redis.hget(keys.scale(Lane.GPU), "memory"))


@pytest.mark.parametrize("lane", ["webhooks", "tpu", "GPU"])
def test_other_lanes_have_no_scale(client: FlaskClient, lane: str) -> None:
    answer = client.get(f"/v1/lanes/{lane}/scale")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "lane_not_found")


def test_it_wants_a_key(app: Flask, store: Store) -> None:
    assert app.test_client().get("/v1/lanes/gpu/scale").status_code == 401

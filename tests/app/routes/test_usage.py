"""GET /v1/usage: usage of owners and its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.api_keys.principal import Scope
from app.factory import create_app
from app.openapi.document import document
from tasks.config.settings import Settings
from tasks.status.usage import DAY_US, today
from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, job_in, problem_in
from tests.app.conftest import client_of
from tests.app.keys import made, with_key
from tests.app.used import add, date_of, usage

NOTHING = {"jobs": 0, "items": 0, "cached_items": 0, "device_seconds": 0}
Work = Callable[[], int]


@pytest.fixture
def priced(settings: Settings, store: Store) -> Flask:
    """A GPU costs 3.6 an hour, so a thousandth of the currency a second; a CPU a tenth of that."""
    return create_app(replace(settings, gpu_price=3.6, cpu_price=0.36))


@pytest.fixture
def acme(priced: Flask) -> FlaskClient:
    return with_key(priced, made(priced, "acme").key.text)


def test_who_used_nothing_is_told_so(acme: FlaskClient, now: int) -> None:
    assert usage(acme) == {
        "owner": "acme",
        "from": date_of(now - 29),
        "to": date_of(now),
        "days": [],
        "by_pipeline": [],
        "total": {**NOTHING, "cost": 0},
    }


def test_jobs_that_ran_are_in_the_usage_of_today(
    acme: FlaskClient, store: Store, work: Work
) -> None:
    job_in(acme.post("/v1/jobs", json=NULL_JOB), 202)
    job_in(acme.post("/v1/jobs", json={"pipeline": "null", "inputs": [{"text": "x"}] * 9}), 202)
    work()
    days = {date_of(today(store))}
    found = usage(acme)
    days.add(date_of(today(store)))
    assert {row["date"] for row in found["days"]} <= days
    assert {(row["lane"], row["pipeline"]) for row in found["days"]} == {("gpu", "null")}
    total = found["total"]
    assert (total["jobs"], total["items"], total["cached_items"]) == (2, 10, 0)
    assert 0 < total["device_seconds"] < 60
    assert total["cost"] == pytest.approx(total["device_seconds"] / 1_000)
    (line,) = found["by_pipeline"]
    assert line == {"lane": "gpu", "pipeline": "null", **total}


def test_usage_is_listed_by_day_lane_and_pipeline_and_summed(
    priced: Flask, store: Store, now: int
) -> None:
    add(store, now, jobs=3, items=30, cached=5, device_us=2_000_000)
    add(store, now, "cpu", jobs=1, items=1, device_us=500_000)
    add(store, now - 29, jobs=2, items=2, device_us=1_000_000)
    add(store, now - 30, jobs=100, items=100, device_us=1_000_000)
    found = usage(client_of(priced))
    null, gpu, cpu = {"pipeline": "null"}, {"lane": "gpu"}, {"lane": "cpu"}
    first = {"jobs": 2, "items": 2, "cached_items": 0, "device_seconds": 1.0, "cost": 0.001}
    on_cpu = {"jobs": 1, "items": 1, "cached_items": 0, "device_seconds": 0.5, "cost": 0.00005}
    last = {"jobs": 3, "items": 30, "cached_items": 5, "device_seconds": 2.0, "cost": 0.002}
    assert found["days"] == [
        {"date": date_of(now - 29), **gpu, **null, **first},
        {"date": date_of(now), **cpu, **null, **approx(on_cpu)},
        {"date": date_of(now), **gpu, **null, **last},
    ]
    of_gpu = {"jobs": 5, "items": 32, "cached_items": 5, "device_seconds": 3.0, "cost": 0.003}
    assert found["by_pipeline"] == [
        {**cpu, **null, **approx(on_cpu)},
        {**gpu, **null, **approx(of_gpu)},
    ]
    assert found["total"]["jobs"] == 6
    assert found["total"]["cost"] == pytest.approx(0.00305)


def approx(sums: dict[str, Any]) -> dict[str, Any]:
    return sums | {"cost": pytest.approx(sums["cost"])}


def test_without_prices_there_are_counts_and_no_costs(
    client: FlaskClient, store: Store, work: Work
) -> None:
    client.post("/v1/jobs", json=NULL_JOB)
    work()
    store.redis.hset(keys.SERIES, mapping={"worker|gpu|busy": 1, "worker|gpu|idle": 1})
    found = usage(client)
    assert found["total"]["items"] == 1
    rows = [found["total"], *found["days"], *found["by_pipeline"]]
    assert [row["cost"] for row in rows] == [None] * 3
    (lane,) = found["fleet"]["lanes"]
    money = {"price_per_hour", "busy_cost", "idle_cost", "cost_per_1000", "cost_per_1000_busy"}
    assert {name for name, value in lane.items() if value is None} == money
    assert [tier["cost_per_1000"] for tier in found["fleet"]["tiers"]] == [None]


def test_a_sum_over_a_lane_without_a_price_has_no_cost(
    settings: Settings, store: Store, now: int
) -> None:
    add(store, now, jobs=1, items=1, device_us=1_000_000)
    add(store, now, "cpu", jobs=1, items=1, device_us=1_000_000)
    found = usage(client_of(create_app(replace(settings, gpu_price=3.6))))
    costs = {row["lane"]: row["cost"] for row in found["days"]}
    assert costs == {"gpu": 0.001, "cpu": None}
    assert found["total"]["cost"] is None


def test_a_cached_answer_counts_as_an_item_without_cost(acme: FlaskClient, work: Work) -> None:
    echo = {"pipeline": "echo", "input": {"text": "the same"}}
    job_in(acme.post("/v1/jobs", json=echo), 202)
    work()
    before = usage(acme)["total"]
    assert job_in(acme.post("/v1/jobs", json=echo), 200)["cached"]
    total = usage(acme)["total"]
    assert (total["jobs"], total["items"], total["cached_items"]) == (2, 2, 1)
    assert total["device_seconds"] == before["device_seconds"]
    assert total["cost"] == before["cost"]


def test_a_job_cancelled_before_it_ran_is_a_job_without_items(
    acme: FlaskClient, work: Work
) -> None:
    job_id = job_in(acme.post("/v1/jobs", json=NULL_JOB), 202)["id"]
    job_in(acme.post(f"/v1/jobs/{job_id}/cancel"), 200)
    job_in(acme.post(f"/v1/jobs/{job_id}/cancel"), 200)
    work()
    assert usage(acme)["total"] == {**NOTHING, "jobs": 1, "cost": 0}


def test_days_change_at_midnight_in_utc_by_the_clock_of_redis(
    priced: Flask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = 20_000 * DAY_US
    add(store, 19_999, jobs=1)
    add(store, 20_000, jobs=2)
    client = client_of(priced)
    monkeypatch.setattr(Store, "now_us", lambda _: midnight - 1)
    before = usage(client, days="1")
    monkeypatch.setattr(Store, "now_us", lambda _: midnight)
    after = usage(client, days="1")
    assert (before["from"], before["to"], before["total"]["jobs"]) == ("2024-10-03",) * 2 + (1,)
    assert (after["from"], after["to"], after["total"]["jobs"]) == ("2024-10-04",) * 2 + (2,)


# ---- Owners


def test_another_owners_usage_is_not_in_ones_own(acme: FlaskClient, store: Store, now: int) -> None:
    add(store, now, owner="rival", jobs=1, items=1, device_us=1)
    found = usage(acme)
    assert found["owner"] == "acme"
    assert found["days"] == []
    assert "fleet" not in found


def test_another_owners_usage_needs_the_scope_admin(priced: Flask, acme: FlaskClient) -> None:
    monitor = with_key(priced, made(priced, "acme", Scope.METRICS, Scope.JOBS).key.text)
    for client in (acme, monitor):
        for owner in ("rival", "no-such-owner"):
            problem = problem_in(client.get(f"/v1/usage?owner={owner}"), 403, "forbidden")
            assert problem["detail"] == "Another owner's usage needs a key with the scope 'admin'."


def test_ones_own_name_is_no_other_owner(acme: FlaskClient) -> None:
    assert usage(acme, owner="acme") == usage(acme)


def test_an_admin_reads_any_owners_usage(priced: Flask, store: Store, now: int) -> None:
    add(store, now, owner="rival", jobs=4, items=4, device_us=4)
    admin = with_key(priced, made(priced, "root", Scope.ADMIN).key.text)
    found = usage(admin, owner="rival")
    assert (found["owner"], found["total"]["jobs"]) == ("rival", 4)
    assert usage(admin)["total"]["jobs"] == 0
    assert usage(admin, owner="no-such-owner")["total"]["jobs"] == 0


# ---- The fleet


def test_an_admin_sees_what_the_fleet_costs_and_how_it_is_used(priced: Flask, store: Store) -> None:
    series: dict[Any, Any] = {
        "worker|gpu|busy": 15_000_000,
        "worker|gpu|idle": 45_000_000,
        "device|null|gpu|null": 10_000_000,
        "items|null|gpu|null": 4_000,
    }
    store.redis.hset(keys.SERIES, mapping=series)
    fleet = usage(client_of(priced))["fleet"]
    assert fleet["lanes"] == [
        {
            "lane": "gpu",
            "price_per_hour": 3.6,
            "busy_seconds": 15,
            "idle_seconds": 45,
            "utilization": 0.25,
            "device_seconds": 10,
            "items": 4_000,
            "busy_cost": pytest.approx(0.015),
            "idle_cost": pytest.approx(0.045),
            "cost_per_1000": pytest.approx(0.015),
            "cost_per_1000_busy": pytest.approx(0.00375),
        }
    ]
    assert fleet["tiers"] == [
        {
            "pipeline": "null",
            "lane": "gpu",
            "tier": "null",
            "items": 4_000,
            "device_seconds": 10,
            "cost_per_1000": pytest.approx(0.0025),
        }
    ]


def test_metrics_show_the_same_costs(priced: Flask, store: Store, work: Work) -> None:
    client = client_of(priced)
    client.post("/v1/jobs", json=NULL_JOB)
    work()
    (tier,) = usage(client)["fleet"]["tiers"]
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "penstock_cost_per_1000"
    ]
    assert found == tier["cost_per_1000"] > 0


def test_answers_are_as_the_document_says(priced: Flask, store: Store, work: Work) -> None:
    client = client_of(priced)
    client.post("/v1/jobs", json=NULL_JOB)
    work()
    store.redis.hset(keys.SERIES, mapping={"worker|gpu|busy": 1, "worker|gpu|idle": 1})
    found = usage(client)
    described = document(priced)
    schemas = described["components"]["schemas"]
    validator = jsonschema_rs.Draft202012Validator(
        schemas["Usage"] | {"components": described["components"]}
    )
    assert [error.message for error in validator.iter_errors(found)] == []
    for name, shown in (
        ("Usage", found),
        ("Used", found["total"]),
        ("UsedOfDay", found["days"][0]),
        ("UsedOfPipeline", found["by_pipeline"][0]),
        ("LaneCost", found["fleet"]["lanes"][0]),
        ("TierCost", found["fleet"]["tiers"][0]),
    ):
        assert set(schemas[name]["properties"]) == set(shown), name

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from tasks.lanes import Lane
from tasks.leases import LaneWorker
from tasks.settings import Settings
from tasks.store import Store
from tests.app.answers import NULL_JOB
from tests.app.conftest import client_of
from tests.conftest import free_port


def samples(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Values by metric name and label values."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_the_process_is_live_with_or_without_redis(app: Flask, settings: Settings) -> None:
    alone = create_app(replace(settings, redis_port=free_port()))
    for api in (app, alone):
        response = api.test_client().get("/livez")
        assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_it_is_not_ready_before_a_gpu_worker_lives(app: Flask, store: Store) -> None:
    LaneWorker(store, Lane.CPU).renew()
    response = app.test_client().get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["reasons"] == ["no worker of the gpu lane is alive"]


def test_it_is_ready_while_a_gpu_worker_lives(
    app: Flask, store: Store, gpu_worker: LaneWorker
) -> None:
    gpu_worker.renew()
    response = app.test_client().get("/readyz")
    assert response.status_code == 200
    assert response.get_json() == {"status": "ready", "workers": {"gpu": 1}}
    gpu_worker.leave()
    assert app.test_client().get("/readyz").status_code == 503


def test_a_worker_that_fell_silent_does_not_count(
    app: Flask, store: Store, gpu_worker: LaneWorker
) -> None:
    gpu_worker.renew()
    member = f"gpu/{gpu_worker.name}"
    store.redis.zincrby("ps:workers", -store.settings.lease_ms - 1, member)
    assert app.test_client().get("/readyz").status_code == 503


def test_it_is_not_ready_without_redis_and_says_so(settings: Settings) -> None:
    alone = create_app(replace(settings, redis_port=free_port()))
    response = alone.test_client().get("/readyz")
    assert response.status_code == 503
    (reason,) = response.get_json()["reasons"]
    assert reason.startswith("redis: ")


def test_metrics_count_jobs_units_and_workers(
    client: FlaskClient, gpu_worker: LaneWorker, work: Callable[[], None]
) -> None:
    for _ in range(3):
        client.post("/v1/jobs", json=NULL_JOB)
    work()
    client.post("/v1/jobs", json={**NULL_JOB, "priority": "high"})
    job_id = client.post("/v1/jobs", json=NULL_JOB).get_json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    gpu_worker.renew()
    found = samples(client)
    assert found["penstock_jobs_total", "succeeded"] == 3
    assert found["penstock_jobs_total", "cancelled"] == 1
    assert found["penstock_lane_units", "gpu", "high"] == 1
    assert found["penstock_lane_units", "cpu", "high"] == 0
    assert found["penstock_workers", "gpu"] == 1
    assert found["penstock_redis_bytes",] > 0


def test_every_process_tells_the_same_counts(
    client: FlaskClient, settings: Settings, work: Callable[[], None]
) -> None:
    client.post("/v1/jobs", json=NULL_JOB)
    work()
    another = samples(client_of(create_app(settings)))
    assert another["penstock_jobs_total", "succeeded"] == 1

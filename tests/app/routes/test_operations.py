from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.factory import create_app
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import NULL_JOB
from tests.app.conftest import client_of
from tests.ports import free_port

FAR_MS = 4_000_000_000_000


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


def readiness(app: Flask) -> tuple[int, str, list[str]]:
    response = app.test_client().get("/readyz")
    found = response.get_json()
    return response.status_code, found["status"], found["reasons"]


NO_GPU = "no worker of the gpu lane is alive"
NO_CPU = "no worker of the cpu lane is alive"


def test_it_is_unready_before_a_worker_lives(app: Flask, store: Store) -> None:
    assert readiness(app) == (503, "unready", [NO_GPU, NO_CPU])


def test_it_is_ready_while_both_lanes_have_a_worker(app: Flask, store: Store) -> None:
    workers = [Consumer(store, Lane.CPU), Consumer(store, Lane.GPU)]
    for worker in workers:
        worker.renew()
    assert readiness(app) == (200, "ready", [])
    assert app.test_client().get("/readyz").get_json()["workers"] == {"cpu": 1, "gpu": 1}
    for worker in workers:
        worker.deregister()
    assert readiness(app)[:2] == (503, "unready")


def test_with_a_worker_in_one_lane_it_is_degraded_since_jobs_still_finish(
    app: Flask, store: Store, gpu_worker: Consumer
) -> None:
    cpu_worker = Consumer(store, Lane.CPU)
    cpu_worker.renew()
    assert readiness(app) == (200, "degraded", [NO_GPU])
    cpu_worker.deregister()
    gpu_worker.renew()
    assert readiness(app) == (200, "degraded", [NO_CPU])


def test_a_worker_without_a_heartbeat_does_not_count(
    app: Flask, store: Store, gpu_worker: Consumer
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
    client: FlaskClient, gpu_worker: Consumer, work: Callable[[], int]
) -> None:
    for _ in range(3):
        client.post("/v1/jobs", json=NULL_JOB)
    work()
    client.post("/v1/jobs", json={**NULL_JOB, "priority": "high"})
    job_id = client.post("/v1/jobs", json=NULL_JOB).get_json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    gpu_worker.renew()
    found = samples(client)
    assert found["penstock_jobs_total", "null", "succeeded"] == 3
    assert found["penstock_jobs_total", "null", "cancelled"] == 1
    assert found["penstock_lane_units", "gpu", "high"] == 1
    assert found["penstock_lane_units", "cpu", "high"] == 0
    assert found["penstock_workers", "gpu"] == 1
    assert found["penstock_redis_bytes",] > 0
    assert found["penstock_lane_bytes", "gpu"] > 0
    assert found["penstock_lane_bytes", "cpu"] == 0


def test_metrics_show_the_state_of_every_breaker(client: FlaskClient, store: Store) -> None:
    assert samples(client)["penstock_breaker_state", "echo", "size"] == 0
    store.redis.hset(keys.BREAKERS, "echo/size", "5 1")
    assert samples(client)["penstock_breaker_state", "echo", "size"] == 1
    store.redis.hset(keys.BREAKERS, "echo/size", f"5 {FAR_MS}")
    assert samples(client)["penstock_breaker_state", "echo", "size"] == 2


def test_every_process_shows_the_same_counts(
    client: FlaskClient, settings: Settings, work: Callable[[], int]
) -> None:
    client.post("/v1/jobs", json=NULL_JOB)
    work()
    another = samples(client_of(create_app(settings)))
    assert another["penstock_jobs_total", "null", "succeeded"] == 1

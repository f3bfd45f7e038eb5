"""Every request is counted by route and status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient

from app.job_updates.long_poll import Waiter
from app.routes.jobs import views
from tasks.telemetry.metrics.process import HTTP, process_metrics
from tests.app.answers import NULL_JOB


def requests() -> Counter[tuple[str, ...]]:
    """Requests so far by method, route and status."""
    (family,) = process_metrics().collector([HTTP]).collect()
    return Counter(
        {
            tuple(sample.labels[name] for name in HTTP.labels): int(sample.value)
            for sample in family.samples
            if sample.name == f"{HTTP.name}_count"
        }
    )


def seconds(*labels: str) -> float:
    (family,) = process_metrics().collector([HTTP]).collect()
    return sum(
        sample.value
        for sample in family.samples
        if sample.name == f"{HTTP.name}_sum"
        and tuple(sample.labels[name] for name in HTTP.labels) == labels
    )


@pytest.fixture
def asked() -> Callable[[], Counter[tuple[str, ...]]]:
    before = requests()
    return lambda: requests() - before


def test_a_request_is_counted_by_its_rule_and_status(
    client: FlaskClient, asked: Callable[[], Counter[tuple[str, ...]]]
) -> None:
    job_id = client.post("/v1/jobs", json=NULL_JOB).get_json()["id"]
    for path in (job_id, job_id, "job_1"):
        client.get(f"/v1/jobs/{path}")
    client.head(f"/v1/jobs/{job_id}")
    client.post("/v1/jobs", data=b"{")
    assert asked() == {
        ("POST", "/v1/jobs", "202"): 1,
        ("GET", "/v1/jobs/<job_id>", "200"): 2,
        ("GET", "/v1/jobs/<job_id>", "404"): 1,
        ("HEAD", "/v1/jobs/<job_id>", "200"): 1,
        ("POST", "/v1/jobs", "415"): 1,
    }


def test_what_clients_make_up_makes_no_series_of_its_own(
    client: FlaskClient, asked: Callable[[], Counter[tuple[str, ...]]]
) -> None:
    for number in range(5):
        client.get(f"/made/up/{number}")
        client.open("/livez", method=f"MADEUP{number}")
    assert asked() == {("GET", "none", "404"): 5, ("other", "none", "405"): 5}


def test_a_request_that_fails_here_is_counted(
    client: FlaskClient,
    asked: Callable[[], Counter[tuple[str, ...]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: str) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(views, "find_own_job", broken)
    client.get("/v1/jobs/job_1")
    assert asked() == {("GET", "/v1/jobs/<job_id>", "500"): 1}


def test_the_time_that_a_client_asked_to_be_held_is_left_out(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]

    def wait(_: Waiter, waited_s: float) -> None:
        now[0] += waited_s

    job_id = client.post("/v1/jobs", json=NULL_JOB).get_json()["id"]
    monkeypatch.setattr(Waiter, "wait", wait)
    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("app.middleware.request_metrics.time", clock)
    held, submitted = ("GET", "/v1/jobs/<job_id>", "200"), ("POST", "/v1/jobs", "202")
    before = seconds(*held), seconds(*submitted)
    client.get(f"/v1/jobs/{job_id}?wait=40")
    client.post("/v1/jobs", json=NULL_JOB, headers={"Prefer": "wait=2"})
    assert now[0] == 1_042
    assert (seconds(*held), seconds(*submitted)) == before

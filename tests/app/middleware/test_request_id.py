from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from tasks.jobs.payload import Payload
from tasks.store.client import Store
from tests.app.answers import NULL_JOB

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("given", ["a", "req-1.2_3~4+5/6=", "x" * 128])
def test_a_well_formed_request_id_is_echoed(client: FlaskClient, given: str) -> None:
    response = client.get("/livez", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "é", '"quoted"', "a;b"])
def test_any_other_is_replaced_by_one_of_ours(client: FlaskClient, given: str) -> None:
    ids = {
        client.get("/livez", headers={"X-Request-ID": given}).headers["X-Request-ID"]
        for _ in range(2)
    }
    assert len(ids) == 2
    assert all(len(made) == 32 and made.isalnum() for made in ids)


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/v1/jobs/job_1", "/metrics"])
def test_every_answer_has_one(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["X-Request-ID"]


def test_ids_travel_with_the_job(client: FlaskClient, store: Store) -> None:
    headers = {"X-Request-ID": "mine", "traceparent": TRACE}
    job_id = client.post("/v1/jobs", json=NULL_JOB, headers=headers).get_json()["id"]
    spec = json.loads(store.redis.hget(f"ps:job:{job_id}", "spec") or "")
    assert (spec["request_id"], spec["traceparent"]) == ("mine", TRACE)
    entries = store.redis.xrange("ps:lane:gpu:normal")
    assert entries
    _, unit = entries[0]
    assert unit
    payload = Payload.load(unit["payload"])
    assert (payload.request_id, payload.traceparent) == ("mine", TRACE)


def test_they_travel_with_the_units_of_an_upload(client: FlaskClient, store: Store) -> None:
    headers = {"X-Request-ID": "mine", "traceparent": TRACE, "Content-Type": "application/x-ndjson"}
    made = client.post("/v1/jobs?pipeline=null", data=b'{"text": "a"}\n', headers=headers)
    unit = store.redis.hget(f"ps:inputs:{made.get_json()['id']}", "1") or ""
    payload = Payload.load(unit)
    assert (payload.request_id, payload.traceparent) == ("mine", TRACE)


@pytest.mark.parametrize(
    "given",
    [
        *("", "nonsense", TRACE.upper(), TRACE + "-extra", "ff" + TRACE[2:], "\xb2" + TRACE),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_a_malformed_trace_context_is_dropped(
    client: FlaskClient, store: Store, given: str
) -> None:
    headers = {"traceparent": given}
    job_id = client.post("/v1/jobs", json=NULL_JOB, headers=headers).get_json()["id"]
    spec = json.loads(store.redis.hget(f"ps:job:{job_id}", "spec") or "")
    assert spec["traceparent"] is None

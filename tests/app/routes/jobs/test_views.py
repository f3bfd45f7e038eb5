from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from ulid import ULID
from werkzeug.test import TestResponse

from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, job_in, problem_in
from tests.eventually import eventually

Work = Callable[[], None]


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def submit(client: FlaskClient, **members: Any) -> dict[str, Any]:
    return job_in(client.post("/v1/jobs", json={**NULL_JOB, **members}), 202)


def units_waiting(store: Store) -> int:
    return int(store.redis.xlen("ps:lane:gpu:normal"))


def reads(store: Store) -> int:
    """How often Redis was asked for a record so far."""
    found = store.redis.info("commandstats").get("cmdstat_hmget", {"calls": 0})
    return int(found["calls"])


def lines_of(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 200
    assert response.content_type == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_submitted_job_is_accepted_and_says_where_to_look(client: FlaskClient) -> None:
    response = client.post("/v1/jobs", json=NULL_JOB, headers={"X-Request-ID": "mine-1"})
    job = job_in(response, 202)
    assert job["status"] == "queued"
    assert job["progress"] == {"done": 0, "failed": 0, "total": 1}
    here = f"/v1/jobs/{job['id']}"
    assert job["links"] == {"self": here, "deliveries": f"{here}/deliveries"}
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["X-Request-ID"] == "mine-1"
    assert job_in(client.get(response.headers["Location"]), 200) == job


def test_a_finished_job_shows_its_output_and_its_times(client: FlaskClient, work: Work) -> None:
    job_id = submit(client, metadata={"ticket": "A-17"})["id"]
    work()
    job = job_in(client.get(f"/v1/jobs/{job_id}"), 200)
    assert job["status"] == "succeeded"
    assert job["output"]["label"] == "allow"
    assert job["output"]["tier"] == "null"
    assert job["error"] is None
    assert job["lane"] == "gpu"
    assert job["attempts"] == 1
    assert job["cached"] is False
    assert job["metadata"] == {"ticket": "A-17"}
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["queue_ms"] >= 0
    assert job["run_ms"] >= 0


def test_the_text_that_is_run_is_the_cleaned_one(client: FlaskClient, work: Work) -> None:
    job_id = submit(client, pipeline="echo", input={"text": "  a\x00\tb\n\n c "})["id"]
    work()
    assert client.get(f"/v1/jobs/{job_id}").get_json()["output"]["echo"] == "a b c"


def test_prefer_wait_answers_200_with_the_finished_job(
    client: FlaskClient, store: Store, work: Work, background: ThreadPoolExecutor
) -> None:
    asked = background.submit(
        client.post, "/v1/jobs", json=NULL_JOB, headers={"Prefer": "respond-async, wait=30"}
    )
    eventually(lambda: units_waiting(store), "the job in its lane")
    work()
    response = asked.result()
    assert job_in(response, 200)["status"] == "succeeded"
    assert response.headers["Preference-Applied"] == "wait=30"
    assert "Retry-After" not in response.headers


def test_prefer_wait_answers_202_when_the_time_is_up(client: FlaskClient) -> None:
    response = client.post("/v1/jobs", json=NULL_JOB, headers={"Prefer": "wait=1"})
    assert job_in(response, 202)["status"] == "queued"
    assert response.headers["Preference-Applied"] == "wait=1"
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("preference", ["wait=0", "wait=soon", "wait", "return=minimal", ""])
def test_a_preference_that_asks_for_no_wait_changes_nothing(
    client: FlaskClient, preference: str
) -> None:
    response = client.post("/v1/jobs", json=NULL_JOB, headers={"Prefer": preference})
    assert job_in(response, 202)["status"] == "queued"
    assert "Preference-Applied" not in response.headers


def test_a_long_poll_is_answered_when_the_job_ends(
    client: FlaskClient, store: Store, work: Work, background: ThreadPoolExecutor
) -> None:
    job_id = submit(client)["id"]
    before = reads(store)
    polls = [background.submit(client.get, f"/v1/jobs/{job_id}?wait=30") for _ in range(3)]
    eventually(lambda: reads(store) >= before + 3, "three waiters that have read the job")
    assert not any(poll.done() for poll in polls)
    work()
    assert [job_in(poll.result(), 200)["status"] for poll in polls] == ["succeeded"] * 3


def test_a_long_poll_of_a_finished_job_is_answered_at_once(client: FlaskClient, work: Work) -> None:
    job_id = submit(client)["id"]
    work()
    assert job_in(client.get(f"/v1/jobs/{job_id}?wait=60"), 200)["status"] == "succeeded"


def test_a_long_poll_shows_the_job_as_it_stands_when_the_time_is_up(client: FlaskClient) -> None:
    job_id = submit(client)["id"]
    assert job_in(client.get(f"/v1/jobs/{job_id}?wait=1"), 200)["status"] == "queued"


def test_a_long_poll_ends_when_the_job_is_cancelled(
    client: FlaskClient, store: Store, background: ThreadPoolExecutor
) -> None:
    job_id = submit(client)["id"]
    before = reads(store)
    poll = background.submit(client.get, f"/v1/jobs/{job_id}?wait=30")
    eventually(lambda: reads(store) > before, "a waiter that has read the job")
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert job_in(poll.result(), 200)["status"] == "cancelled"


def test_a_cancelled_job_never_runs(client: FlaskClient, store: Store, work: Work) -> None:
    job_id = submit(client)["id"]
    job = job_in(client.post(f"/v1/jobs/{job_id}/cancel"), 200)
    assert job["status"] == "cancelled"
    assert job["error"]["code"] == "cancelled"
    work()
    job = job_in(client.get(f"/v1/jobs/{job_id}"), 200)
    assert (job["status"], job["attempts"], job["output"]) == ("cancelled", 0, None)
    assert units_waiting(store) == 0


def test_cancelling_twice_is_no_error(client: FlaskClient, store: Store) -> None:
    job_id = submit(client)["id"]
    first = job_in(client.post(f"/v1/jobs/{job_id}/cancel"), 200)
    assert job_in(client.post(f"/v1/jobs/{job_id}/cancel"), 200) == first
    assert store.redis.hgetall("ps:counts") == {"cancelled": "1"}


def test_the_result_of_a_job_that_is_cancelled_while_it_runs_is_dropped(
    client: FlaskClient, gpu_worker: Consumer, work: Work
) -> None:
    job_id = submit(client)["id"]
    (unit,) = gpu_worker.claim(1, 0).units
    assert client.get(f"/v1/jobs/{job_id}").get_json()["status"] == "running"
    assert job_in(client.post(f"/v1/jobs/{job_id}/cancel"), 200)["status"] == "cancelled"
    gpu_worker.release([unit])
    work()
    job = job_in(client.get(f"/v1/jobs/{job_id}"), 200)
    assert (job["status"], job["output"]) == ("cancelled", None)


def test_cancelling_a_finished_job_is_a_conflict(client: FlaskClient, work: Work) -> None:
    job_id = submit(client)["id"]
    work()
    problem = problem_in(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "already_finished")
    assert "succeeded" in problem["detail"]
    assert client.get(f"/v1/jobs/{job_id}").get_json()["status"] == "succeeded"


def test_a_job_whose_deadline_has_passed_expires_instead_of_running(
    client: FlaskClient, store: Store, work: Work
) -> None:
    job_id = submit(client, deadline_ms=1)["id"]
    deadline = int(store.redis.hget(f"ps:job:{job_id}", "deadline") or 0)
    eventually(lambda: store.redis.time()[0] * 1000 > deadline, "Redis's clock past the deadline")
    work()
    job = job_in(client.get(f"/v1/jobs/{job_id}"), 200)
    assert job["status"] == "expired"
    assert job["error"]["code"] == "deadline_exceeded"


def test_bulk_results_are_lines_in_input_order(client: FlaskClient, work: Work) -> None:
    texts = [f"text {'x' * (20 - n)}" for n in range(11)]
    job = submit_bulk(client, texts)
    assert job["links"]["results"] == f"/v1/jobs/{job['id']}/results"
    work()
    lines = lines_of(client.get(job["links"]["results"]))
    assert [line["index"] for line in lines] == list(range(11))
    assert [line["status"] for line in lines] == ["succeeded"] * 11
    assert [line["output"]["echo"] for line in lines] == texts
    assert [line["error"] for line in lines] == [None] * 11
    done = client.get(f"/v1/jobs/{job['id']}").get_json()
    assert done["progress"] == {"done": 11, "failed": 0, "total": 11}
    assert done["output"] is None


def test_bulk_results_can_be_read_before_and_while_the_job_runs(
    client: FlaskClient, gpu_worker: Consumer
) -> None:
    job = submit_bulk(client, [f"text {n}" for n in range(6)])
    lines = lines_of(client.get(job["links"]["results"]))
    assert [line["index"] for line in lines] == list(range(6))
    assert {line["status"] for line in lines} == {"queued"}
    gpu_worker.claim(1, 0)
    lines = lines_of(client.get(job["links"]["results"]))
    assert {line["status"] for line in lines} == {"running"}
    assert {line["output"] for line in lines} == {None}


def test_the_results_of_a_single_job_are_one_line(client: FlaskClient, work: Work) -> None:
    job_id = submit(client)["id"]
    work()
    (line,) = lines_of(client.get(f"/v1/jobs/{job_id}/results"))
    assert (line["index"], line["status"]) == (0, "succeeded")
    assert line["output"]["label"] == "allow"


def test_an_old_job_that_is_not_kept_any_more_is_gone(client: FlaskClient) -> None:
    old = ULID.from_datetime(datetime.now(UTC) - timedelta(days=3))
    for path in (f"/v1/jobs/job_{old}", f"/v1/jobs/job_{old}/results"):
        problem = problem_in(client.get(path), 410, "result_expired")
        assert "86400 s" in problem["detail"]
    problem_in(client.post(f"/v1/jobs/job_{old}/cancel"), 410, "result_expired")
    for no_id_of_ours in (old, f"job_{str(old).lower()}"):
        problem_in(client.get(f"/v1/jobs/{no_id_of_ours}"), 404, "job_not_found")


@pytest.mark.parametrize(
    "job_id", ["job_01", "nonsense", "job_" + "é" * 26, "job_" + "Z" * 26, "%00", "a" * 3_000]
)
def test_a_job_that_never_was_is_not_found(client: FlaskClient, job_id: str) -> None:
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}?wait=1", f"/v1/jobs/{job_id}/results"):
        problem_in(client.get(path), 404, "job_not_found")
    problem_in(client.post(f"/v1/jobs/{job_id}/cancel"), 404, "job_not_found")


def test_another_owners_job_looks_as_if_it_did_not_exist(client: FlaskClient, store: Store) -> None:
    job_id = submit(client)["id"]
    spec = json.loads(store.redis.hget(f"ps:job:{job_id}", "spec") or "")
    store.redis.hset(f"ps:job:{job_id}", "spec", json.dumps({**spec, "owner": "another"}))
    theirs = problem_in(client.get(f"/v1/jobs/{job_id}"), 404, "job_not_found")
    nobodys = problem_in(client.get(f"/v1/jobs/job_{ULID()}"), 404, "job_not_found")
    assert theirs["detail"] == nobodys["detail"]
    problem_in(client.get(f"/v1/jobs/{job_id}?wait=5"), 404, "job_not_found")
    problem_in(client.post(f"/v1/jobs/{job_id}/cancel"), 404, "job_not_found")


@pytest.mark.parametrize("wait", ["soon", "-1", "1.5", "", "1e3", "٣"])
def test_a_wait_that_is_no_whole_number_is_refused(client: FlaskClient, wait: str) -> None:
    response = client.get(f"/v1/jobs/{submit(client)['id']}", query_string={"wait": wait})
    problem = problem_in(response, 400, "invalid_request")
    (error,) = problem["errors"]
    assert error["parameter"] == "wait"
    assert "whole number of seconds" in error["detail"]


def submit_bulk(client: FlaskClient, texts: list[str]) -> dict[str, Any]:
    inputs = [{"text": text} for text in texts]
    return job_in(client.post("/v1/jobs", json={"pipeline": "echo", "inputs": inputs}), 202)

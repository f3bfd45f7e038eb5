"""Errors of a whole stack reach Sentry: once each, with their job, without what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tasks.config.version import RELEASE
from tests.envelopes import SECRET, Envelopes
from tests.eventually import eventually
from tests.faults.test_bad_models import gone
from tests.integration.failing import BROKEN, LOST
from tests.stack import Stack

LIMIT_S = 3
PRIVATE = "Żaneta lives at 12 Rosewood Lane"
ENVIRONMENT = "a-test"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def sentry() -> Iterator[Envelopes]:
    with Envelopes() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, sentry: Envelopes) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("sentry"),
        "tests.integration.failing:failing",
        web_workers=1,
        max_attempts=1,
        hard_limit_s=LIMIT_S,
        lease_ms=3_000,
        renew_ms=1_000,
        gpu_patience_ms=120_000,
        sentry_dsn=sentry.dsn,
        sentry_environment=ENVIRONMENT,
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture(autouse=True)
def nothing_private_arrives(stack: Stack, sentry: Envelopes) -> Iterator[None]:
    yield
    settings = stack.settings
    secrets = (settings.api_key, settings.redis_password, settings.key_pepper, settings.webhook_key)
    sentry.assert_silent_about(PRIVATE, "Żaneta", "Rosewood", SECRET, *secrets)


def post(stack: Stack, request_id: str, **body: Any) -> httpx.Response:
    headers = {"Prefer": "wait=60", "X-Request-ID": request_id}
    with stack.client() as client:
        return client.post("/v1/jobs", json={"pipeline": "failing"} | body, headers=headers)


def the_event(sentry: Envelopes, failure: str, **tags: str) -> dict[str, Any]:
    """The only one of its kind, from this release and environment."""
    (event,) = eventually(lambda: sentry.of(failure, **tags), f"an event: {failure} {tags}")
    assert (event["release"], event["environment"]) == (RELEASE, ENVIRONMENT)
    assert sentry.paths == {"/api/1/envelope/"}
    return dict(event)


def error_of(event: dict[str, Any]) -> tuple[str, str]:
    error = event["exception"]["values"][-1]
    return error["type"], error["value"]


def frames_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        frame
        for holder in (*event["exception"]["values"], *event.get("threads", {}).get("values", ()))
        for frame in (holder.get("stacktrace") or {}).get("frames", ())
    ]


def test_an_error_of_the_api_is_one_event_with_its_request(stack: Stack, sentry: Envelopes) -> None:
    for _ in range(5):
        assert post(stack, "req-api", input={"text": f"{BROKEN} {PRIVATE}"}).status_code == 500
    event = the_event(sentry, "api", request_id="req-api")
    assert event["tags"]["component"] == "api"
    assert event["tags"]["route"] == "/v1/jobs"
    assert event["tags"]["pipeline"] == "failing"
    assert error_of(event)[0] == "ZeroDivisionError"
    assert error_of(event)[1].startswith("nothing can be made of {")
    assert set(event["request"]) == {"method", "url", "headers"}
    assert not [frame for frame in frames_of(event) if "vars" in frame]


def test_refusals_are_no_events(stack: Stack, sentry: Envelopes) -> None:
    before = len(sentry.events)
    with stack.client() as client:
        assert client.get("/v1/jobs/nothing").status_code == 404
        assert client.post("/v1/jobs", json={"pipeline": "no"}).status_code == 400
        assert httpx.get(f"{stack.url}/v1/jobs").status_code == 401
    # The web process sends in order: once this arrives, all before it would have.
    assert post(stack, "req-lost", input={"text": f"{LOST}: {PRIVATE}"}).status_code == 500
    event = the_event(sentry, "api", request_id="req-lost")
    assert "[input]" in error_of(event)[1]
    assert len(sentry.events) == before + 1


def test_a_model_error_in_64_items_of_a_batch_is_one_event(stack: Stack, sentry: Envelopes) -> None:
    texts = [f"fail {n} {PRIVATE}" for n in range(64)]
    job = post(stack, "req-model", inputs=[{"text": text} for text in texts]).json()
    assert job["status"] == "failed" or job["failed"] == 64, job
    event = the_event(sentry, "model", job=job["id"])
    tags = {"request_id": "req-model", "pipeline": "failing", "stage": "talkative"}
    assert tags.items() <= event["tags"].items()
    assert event["tags"]["lane"] in ("gpu", "cpu")
    assert event["extra"]["items_failed"] == 64
    kind, text = error_of(event)
    assert kind == "ValueError"
    assert text.startswith("this shape does not fit")
    assert "predict" in {frame["function"] for frame in frames_of(event)}
    assert len(sentry.of("model")) == 1


@pytest.mark.parametrize(
    ("word", "failure", "kind"),
    [
        ("hang", "hung", "HungModel"),
        ("hold", "hung", "HungProcess"),
        ("segv", "crash", "WorkerCrash"),
    ],
)
def test_what_ends_a_worker_child_is_one_event_with_its_job(
    stack: Stack, sentry: Envelopes, word: str, failure: str, kind: str
) -> None:
    child, before = stack.serving_child("gpu"), len(sentry.events)
    body = {"pipeline": "failing", "input": {"text": f"{word} {PRIVATE}"}}
    with stack.client() as client:
        headers = {"X-Request-ID": f"req-{word}"}
        job = client.post("/v1/jobs", json=body, headers=headers).json()
        eventually(lambda: gone(child), "the end of the process", within_s=LIMIT_S + 30)
        event = the_event(sentry, failure, job=job["id"])
        ended = client.get(f"/v1/jobs/{job['id']}", params={"wait": 60}).json()
    assert ended["error"]["code"] == "poison_input", ended
    tags = {"request_id": f"req-{word}", "pipeline": "failing", "lane": "gpu"}
    assert tags.items() <= event["tags"].items()
    assert error_of(event)[0] == kind
    assert not [frame for frame in frames_of(event) if "vars" in frame]
    # Where it hangs is known from inside alone.
    assert ("_obey" in {frame["function"] for frame in frames_of(event)}) == (word == "hang")
    if word == "segv":
        assert "SIGSEGV" in error_of(event)[1]
    assert len(sentry.events) == before + 1


def test_an_outage_of_redis_is_one_event_of_each_process(stack: Stack, sentry: Envelopes) -> None:
    stack.serving_child("gpu")
    stack.kill("redis")
    for _ in range(10):
        assert post(stack, "req-outage", input={"text": PRIVATE}).status_code == 503
    eventually(lambda: stack.log("gpu").count("batch left to its lease") > 1, "more attempts")
    eventually(lambda: len(sentry.of("redis")) >= 3, "an event of each process")
    stack.start("redis")
    eventually(stack.ready, "an answer of /readyz")
    met = [(e["tags"]["component"], e["tags"].get("lane")) for e in sentry.of("redis")]
    assert sorted(met, key=str) == [("api", None), ("worker", "cpu"), ("worker", "gpu")]
    assert not [event for event in sentry.events if "failure" not in event["tags"]]

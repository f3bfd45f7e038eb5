"""One request id, and one trace, from the client's request to the webhook, over all processes.

The processes send their spans only when they end, so the test also sees that none is lost then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.collector import Collector, Spanned
from tests.eventually import eventually
from tests.receiver import Got, Receiver
from tests.stack import Stack

MINE = "the-one-request"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET_TEXT = "nobody reads this in a log"
SUBMIT = "/v1/jobs"
PROCESSES = ("web", "gpu", "cpu", "webhooks")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("traced"),
        "tests.pipelines:echo",
        webhook_http_hosts=("127.0.0.1",),
        otlp_endpoint=collector.url,
        log_input_hash=True,
    )
    stack.env["OTEL_BSP_SCHEDULE_DELAY"] = "3600000"
    try:
        stack.start_all()
        stack.start("webhooks")
        eventually(lambda: stack.alive("webhooks"), "a worker of webhooks", within_s=120)
        yield stack
    finally:
        stack.stop_all()


class Told:
    """What logs and spans say of one job, once all processes have ended."""

    def __init__(self, stack: Stack, collector: Collector, job: Mapping[str, Any]) -> None:
        text = "\n".join(stack.log(name) for name in PROCESSES)
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        self.lines = [
            line
            for line in found
            if line.get("job") == job["id"] and line.get("route", SUBMIT) == SUBMIT
        ]
        self.spans = [
            span
            for span in collector.spans
            if job["id"]
            in (span.attributes.get("penstock.job"), *span.attributes.get("penstock.jobs", ()))
        ]
        (batch,) = [span for span in self.spans if span.name == "batch"]
        self.inside = [span for span in collector.spans if span.parent_id == batch.span_id]

    def line(self, event: str) -> dict[str, Any]:
        (line,) = [line for line in self.lines if line["event"] == event]
        return dict(line)

    def span(self, name: str) -> Spanned:
        (span,) = [span for span in self.spans if span.name == name]
        return span


def submitted(stack: Stack, receiver: Receiver, text: str, **headers: str) -> dict[str, Any]:
    body = {"pipeline": "echo", "input": {"text": text}, "webhook": {"url": receiver.url}}
    with stack.client() as client:
        response = client.post(SUBMIT, json=body, headers={"Prefer": "wait=60", **headers})
        job: dict[str, Any] = response.json()
        assert job["status"] == "succeeded"
        eventually(lambda: webhook_of(receiver, job), "the webhook")
        path = job["links"]["deliveries"]
        eventually(
            lambda: client.get(path).json()["deliveries"][0]["status"] == "succeeded", "its record"
        )
    return job | {"request_id": response.headers["X-Request-ID"]}


def webhook_of(receiver: Receiver, job: Mapping[str, Any]) -> Got | None:
    found = [got for got in receiver.got if json.loads(got.body)["data"]["id"] == job["id"]]
    return found[0] if found else None


def witnesses(told: Told, webhook: Got) -> dict[str, tuple[str, str]]:
    """Request id and trace id, by who tells them."""
    lines = {event: told.line(event) for event in ("request", "job ended")}
    found = {f"line: {name}": (one["request_id"], one["trace_id"]) for name, one in lines.items()}
    for span in (told.span("POST /v1/jobs"), told.span("queue"), told.span("webhook")):
        found[f"span: {span.name}"] = (span.attributes["penstock.request_id"], span.trace_id)
    batch = told.span("batch")
    ((linked, _),), (request_id,) = batch.links, batch.attributes["penstock.request_ids"]
    found["span: batch"] = (request_id, linked)
    found["webhook"] = (webhook.headers["x-request-id"], webhook.headers["traceparent"][3:35])
    # Another witness, such as an event of Sentry, is another entry here.
    return found


def assert_parents(told: Told, webhook: Got) -> None:
    request, batch, attempt = (told.span(name) for name in ("POST /v1/jobs", "batch", "webhook"))
    assert {told.span("queue").parent_id, attempt.parent_id} == {request.span_id}
    assert batch.links == {request.place}
    assert [span.name for span in sorted(told.inside, key=lambda s: s.start)] == ["tier", "commit"]
    assert webhook.headers["traceparent"][36:52] == attempt.span_id


def test_logs_spans_and_webhook_agree_on_request_and_trace(
    stack: Stack, collector: Collector, receiver: Receiver
) -> None:
    given = {"X-Request-ID": MINE, "traceparent": TRACE}
    jobs = [submitted(stack, receiver, SECRET_TEXT, **given), submitted(stack, receiver, "another")]
    for name in PROCESSES:
        stack.stop(name)

    mine, other = (Told(stack, collector, job) for job in jobs)
    hooks = [webhook_of(receiver, job) for job in jobs]
    assert hooks[0]
    assert hooks[1]
    assert set(witnesses(mine, hooks[0]).values()) == {(MINE, TRACE[3:35])}
    assert mine.span("POST /v1/jobs").parent_id == TRACE[36:52]
    begun = mine.span("POST /v1/jobs").trace_id, other.span("POST /v1/jobs").trace_id
    assert begun[0] != begun[1]
    assert set(witnesses(other, hooks[1]).values()) == {(jobs[1]["request_id"], begun[1])}
    assert other.span("POST /v1/jobs").parent_id == ""
    assert_parents(mine, hooks[0])
    assert_parents(other, hooks[1])

    ended = mine.line("job ended")
    assert (ended["tier"], ended["owner"], ended["lane"]) == ("size", "default", jobs[0]["lane"])
    assert len(ended["input_hash"]) == 32
    for name in PROCESSES:
        assert SECRET_TEXT not in stack.log(name)
        assert stack.settings.api_key not in stack.log(name)
    assert SECRET_TEXT not in repr(collector.spans)

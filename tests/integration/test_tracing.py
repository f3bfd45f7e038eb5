"""One request id, and one trace, from the client's request to the webhook and to Sentry.

The processes send their spans only when they end, so the test also sees that none is lost then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.collector import Collector, Spanned
from tests.envelopes import Envelopes
from tests.eventually import eventually
from tests.receiver import Got, Receiver
from tests.stack import Stack

MINE = "the-one-request"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET_TEXT = "fail, and nobody reads this in a log"
SUBMIT = "/v1/jobs"
PROCESSES = ("web", "gpu", "cpu", "webhooks")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def sentry() -> Iterator[Envelopes]:
    with Envelopes() as found:
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def stack(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, sentry: Envelopes
) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("traced"),
        "tests.integration.failing:failing",
        "tests.pipelines:echo",
        webhook_http_hosts=("127.0.0.1",),
        otlp_endpoint=collector.url,
        sentry_dsn=sentry.dsn,
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


def ended(
    stack: Stack, receiver: Receiver, pipeline: str, text: str, headers: dict[str, str]
) -> dict[str, Any]:
    """A job that was delivered, with the id of the request that made it."""
    body = {"pipeline": pipeline, "input": {"text": text}, "webhook": {"url": receiver.url}}
    with stack.client() as client:
        response = client.post(SUBMIT, json=body, headers={"Prefer": "wait=60", **headers})
        job: dict[str, Any] = response.json()
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
    return found


def the_event(sentry: Envelopes, job: Mapping[str, Any]) -> tuple[str, str]:
    (event,) = sentry.of("model", job=job["id"])
    return event["tags"]["request_id"], event["tags"]["trace_id"]


def assert_parents(told: Told, webhook: Got) -> None:
    request, batch, attempt = (told.span(name) for name in ("POST /v1/jobs", "batch", "webhook"))
    assert {told.span("queue").parent_id, attempt.parent_id} == {request.span_id}
    assert batch.links == {request.place}
    assert [span.name for span in sorted(told.inside, key=lambda s: s.start)] == ["tier", "commit"]
    assert webhook.headers["traceparent"][36:52] == attempt.span_id


def test_logs_spans_webhook_and_sentry_agree_on_request_and_trace(
    stack: Stack, collector: Collector, receiver: Receiver, sentry: Envelopes
) -> None:
    given = {"X-Request-ID": MINE, "traceparent": TRACE}
    failed = ended(stack, receiver, "failing", SECRET_TEXT, given)
    fine = ended(stack, receiver, "echo", "another", {})
    assert (failed["status"], fine["status"]) == ("failed", "succeeded")
    hooks = [webhook_of(receiver, job) for job in (failed, fine)]
    for name in PROCESSES:
        stack.stop(name)

    told = [Told(stack, collector, job) for job in (failed, fine)]
    begun = [one.span("POST /v1/jobs") for one in told]
    assert [span.parent_id for span in begun] == [TRACE[36:52], ""]
    assert begun[0].trace_id == TRACE[3:35] != begun[1].trace_id
    for job, one, hook, span in zip((failed, fine), told, hooks, begun, strict=True):
        assert hook
        agreed = (job["request_id"], span.trace_id)
        assert {agreed} == set(witnesses(one, hook).values())
        assert_parents(one, hook)
    assert the_event(sentry, failed) == (MINE, TRACE[3:35])
    assert [one.span("batch").attributes["penstock.items"] for one in told] == [1, 1]

    line = told[1].line("job ended")
    assert (line["tier"], line["owner"], line["lane"]) == ("size", "default", fine["lane"])
    assert len(line["input_hash"]) == 32
    for name in PROCESSES:
        assert SECRET_TEXT not in stack.log(name)
        assert stack.settings.api_key not in stack.log(name)
    assert SECRET_TEXT not in repr(collector.spans)

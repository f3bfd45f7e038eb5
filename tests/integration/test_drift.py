"""Drift on all processes: from texts through real models to report, metric and webhook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.eventually import eventually
from tests.integration.texts import texts
from tests.receiver import Receiver
from tests.stack import Stack

PATH = "/v1/pipelines/moderation/drift"
SIZE = 600


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("drift"),
        "tests.pipelines:moderation",
        webhook_http_hosts=("127.0.0.1",),
        drift_interval_s=86_400 * 365,
    )
    try:
        stack.start_all()
        stack.start("webhooks")
        eventually(lambda: stack.alive("webhooks"), "a worker of webhooks", within_s=120)
        yield stack
    finally:
        stack.stop_all()


def test_shouted_texts_are_drift_by_report_metric_and_webhook(stack: Stack) -> None:
    with Receiver() as receiver, stack.client() as client:
        wish = {"url": receiver.url, "events": ["pipeline.drift"]}
        endpoint = client.post("/v1/webhook-endpoints", json=wish).json()
        inputs = [{"text": text.upper()} for text in texts("drift", SIZE)]
        job = {"pipeline": "moderation", "inputs": inputs}
        here = client.post("/v1/jobs", json=job).headers["Location"]
        eventually(lambda: client.get(here).json()["status"] == "succeeded", "its end", 120)
        eventually(lambda: client.post(PATH).json()["samples"] == SIZE, "all of them sampled")
        report: dict[str, Any] = client.get(PATH).json()
        assert (report["verdict"], report["alarm"], report["tier"]) == ("drift", True, "cnn")
        (capitals,) = (one for one in report["features"] if one["name"] == "capitals")
        assert capitals["verdict"] == "drift"
        assert capitals["text"].startswith("More letters are capitals: median 2.0% -> ")
        metrics = client.get("/metrics").text
        assert 'penstock_drift_alert{model_version="' in metrics
        (got,) = eventually(lambda: receiver.got, "the webhook")
        event = Webhook(endpoint["secret"]).verify(got.body, dict(got.headers))
        assert event["type"] == "pipeline.drift"
        assert event["data"]["alarm"] == "tripped"
        assert "capitals" in [one["name"] for one in event["data"]["features"]]
        assert "REALLY" not in got.body.decode()

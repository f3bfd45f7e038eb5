"""The first job is waited for within its deadline, and a failure is told as the API told it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.local import first_job
from deploy.local.errors import RunnerError
from deploy.local.instance import Instance
from deploy.local.options import Options
from deploy.local.ports import Address
from tasks.config.settings import Settings

QUEUED = {"id": "job_1", "status": "queued", "links": {"self": "/v1/jobs/job_1"}}
OUTPUT = {
    "label": "block",
    "action": "review",
    "confidence": 0.9,
    "tier": "cnn",
    "model_version": "v1",
    "degraded": True,
    "reason": "no transformer",
}
DONE = {**QUEUED, "status": "succeeded", "cached": False, "output": OUTPUT}


class Api:
    """Gives prepared answers, one a request, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(f"{self.command} {self.path}")
                status, body = api.answers.pop(0)
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    thread = threading.Thread(target=lambda: api.server.serve_forever(poll_interval=0.01))
    thread.start()
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


@pytest.fixture
def instance(api: Api, tmp_path: Path) -> Instance:
    env = {
        "PENSTOCK_VAR": str(tmp_path),
        "PENSTOCK_PORT": str(api.server.server_port),
        "PENSTOCK_API_KEY": "k" * 16,
        "REDIS_PASSWORD": "r" * 16,
        "PENSTOCK_KEY_PEPPER": "p" * 16,
        "PENSTOCK_WEBHOOK_KEY": "w" * 16,
    }
    return Instance(
        root=tmp_path,
        commands={},
        options=Options.from_env(env),
        settings=Settings.from_env(env),
        env=env,
    )


def in_a_minute() -> float:
    return time.monotonic() + 60


def test_a_job_that_takes_longer_than_one_request_is_polled(api: Api, instance: Instance) -> None:
    api.answers = [(202, QUEUED), (200, {**QUEUED, "status": "running"}), (200, DONE)]
    assert first_job.run(instance, in_a_minute()) == DONE
    wait = api.asked[1].partition("?wait=")[2]
    assert 0 < int(wait) <= 60
    assert api.asked[0] == "POST /v1/jobs"
    assert [line.partition("?")[0] for line in api.asked[1:]] == ["GET /v1/jobs/job_1"] * 2


def test_a_deadline_that_passed_ends_the_wait(api: Api, instance: Instance) -> None:
    api.answers = [(202, QUEUED)]
    with pytest.raises(RunnerError, match="did not finish in time"):
        first_job.run(instance, time.monotonic())


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {**QUEUED, "status": "failed", "error": "no tier"}), (401, {"code": "unauthorized"})],
)
def test_a_failure_is_shown_as_the_api_told_it(
    api: Api, instance: Instance, status: int, body: dict[str, Any]
) -> None:
    api.answers = [(status, body)]
    with pytest.raises(RunnerError) as error:
        first_job.run(instance, in_a_minute())
    assert str(error.value) == f"The first job did not succeed ({status}): {json.dumps(body)}"


def test_the_answer_is_told_in_words() -> None:
    assert first_job.describe({**DONE, "cached": True}).splitlines() == [
        f'"{first_job.TEXT}"',
        (
            "    label block, action review, confidence 0.90, tier cnn, model version v1, "
            "degraded no transformer, cached yes"
        ),
    ]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_url_of_a_wildcard_is_one_that_can_be_used(host: str, url: str) -> None:
    assert Address("PENSTOCK_PORT", host, 8000).url == url

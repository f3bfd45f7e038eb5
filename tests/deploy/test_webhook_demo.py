"""`make up WEBHOOK_DEMO=1` starts a receiver and has the first job told to it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local import processes
from tasks.webhooks.signing import signed_headers
from tests.deploy.installation import PROCESSES, ROOT, Installation, eventually
from tests.ports import free_port

BODY = b'{"type":"job.succeeded","data":{"output":{"label":"x"}}}'
RECEIVED = "received job.succeeded: {'label': 'x'}"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, tmp_path / "my var")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    yield installation
    processes.kill(installation.var)


def test_it_runs_beside_the_others_and_the_first_job_is_told_to_it(here: Installation) -> None:
    port = free_port()
    status, output = here.up(WEBHOOK_DEMO="1", WEBHOOK_DEMO_PORT=str(port))
    assert status == 0, output
    assert {m.program for m in here.members()} == {*PROCESSES, "webhook-demo"}
    url = f"http://127.0.0.1:{port}/"
    assert f"webhook {url}" in here.events()
    assert (
        f"  Webhook {url} received the webhook of this job: see the log of webhook-demo\n" in output
    )


def test_it_takes_what_is_signed_and_prints_it_once(here: Installation) -> None:
    port = free_port()
    assert here.up(WEBHOOK_DEMO="1", WEBHOOK_DEMO_PORT=str(port))[0] == 0
    log = here.var / "log" / "webhook-demo.log"
    eventually(lambda: "Running on" in log.read_text())

    def told(body: bytes, at: float) -> int:
        headers = signed_headers("msg_1", int(at), BODY, [here.keys()["WEBHOOK_SECRET"]])
        url = f"http://127.0.0.1:{port}/"
        return httpx.post(url, content=body, headers=headers, trust_env=False).status_code

    now = time.time()
    assert [told(BODY, now), told(BODY, now)] == [204, 204]
    assert told(BODY + b" ", now) == told(BODY, now - 301) == 401
    lines = log.read_text().splitlines()
    assert lines.count(RECEIVED) == 1
    assert sum(line.startswith("refused: ") for line in lines) == 2
    assert here.keys()["WEBHOOK_SECRET"] not in log.read_text()


def test_without_it_nobody_is_told(here: Installation) -> None:
    status, output = here.up()
    assert status == 0
    assert "Webhook" not in output
    assert not any(event.startswith("webhook") for event in here.events())


def test_it_is_refused_where_webhooks_may_not_go(here: Installation) -> None:
    status, output = here.up(WEBHOOK_DEMO="1", PENSTOCK_WEBHOOK_HTTP_HOSTS="dev.test")
    assert status == 1
    assert "127.0.0.1, which must be among PENSTOCK_WEBHOOK_HTTP_HOSTS" in output


def test_a_port_that_is_taken_is_named(here: Installation) -> None:
    taken = str(here.web_port)
    status, output = here.up(WEBHOOK_DEMO="1", WEBHOOK_DEMO_PORT=taken)
    assert status == 1
    assert f"PENSTOCK_PORT and WEBHOOK_DEMO_PORT are both {taken}." in output

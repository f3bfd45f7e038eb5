"""kill -9 of workers while units go on from the cpu lane to the gpu lane."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.eventually import eventually
from tests.faults.report import Report
from tests.stack import Stack

SINGLES, BULKS, ITEMS = 300, 20, 30
HARD = "a text that the small tier is not sure of"

pytestmark = pytest.mark.timeout(170)


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # What is left to the lease of a dead worker must not be moved meanwhile: it would be degraded.
    stack = Stack(
        tmp_path_factory.mktemp("routing"), "tests.faults.paced:routed", gpu_patience_ms=600_000
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


def text_of(number: int) -> str:
    return f"{HARD} {number}" if number % 2 else f"{number}"


def submit(stack: Stack, body: dict[str, Any]) -> str:
    headers = {"Authorization": f"Bearer {stack.settings.api_key}"}
    answer = httpx.post(
        f"{stack.url}/v1/jobs", json={"pipeline": "routed", **body}, headers=headers, timeout=30
    )
    assert answer.status_code == 202
    job: str = answer.json()["id"]
    return job


def results(stack: Stack, job: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {stack.settings.api_key}"}
    answer = httpx.get(f"{stack.url}/v1/jobs/{job}/results", headers=headers, timeout=30)
    return [httpx.Response(200, text=line).json() for line in answer.text.splitlines()]


def test_what_goes_on_is_answered_once_whoever_is_killed(stack: Stack, report: Report) -> None:
    singles = [{"input": {"text": text_of(n)}} for n in range(SINGLES)]
    bulks = [
        {"inputs": [{"text": text_of(1_000 + b * ITEMS + n)} for n in range(ITEMS)]}
        for b in range(BULKS)
    ]
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda body: submit(stack, body), bulks + singles))
    for lane in ("cpu", "gpu"):
        stack.pool_child(lane).kill()
    stack.kill("cpu")
    stack.start("cpu")
    total = SINGLES + BULKS
    eventually(lambda: sum(stack.ended().values()) == total, "the end of all jobs", within_s=120)
    assert stack.ended() == {"succeeded": total}
    lines = [line for job in jobs for line in results(stack, job)]
    assert len(lines) == SINGLES + BULKS * ITEMS
    sure = [line["output"] for line in lines if not line["output"]["degraded"]]
    assert all((one["tier"] == "big") == (one["length"] > len(HARD)) for one in sure)
    degraded = sum(line["output"]["degraded"] for line in lines)
    report("SIGKILL while units go on to the gpu lane", lost=0, duplicates=0, degraded=degraded)

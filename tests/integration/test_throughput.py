"""Many clients at once: every accepted job succeeds once, with the answer the pipeline gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ml.pipeline import Item
from ml.serving.runtime import Runtime
from tests.eventually import eventually
from tests.integration.texts import texts
from tests.pipelines import moderation as PIPELINE  # noqa: N812 (a constant here)
from tests.stack import Stack

CLIENTS = 32
SINGLES = 1_960
BULKS, BULK_ITEMS = 40, 25
# On a CPU the cnn rounds the activations of a call to int8 with one scale for all of its texts
# (ml/quantization/int8_linear.py), so scores move a little with a text's neighbours: by 0.0045 at
# most in 400 texts run alone and in batches of 64.
BATCHING = 0.01
ENDED = {"succeeded", "failed", "cancelled", "expired"}

Answers = dict[str, dict[str, Any]]  # output by text
Ask = Callable[[httpx.Client, str], dict[str, Any]]


def submit(client: httpx.Client, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = client.post("/v1/jobs", json={"pipeline": "moderation", **body}, headers=headers)
    assert response.status_code in {200, 202}, response.text
    job: dict[str, Any] = response.json()
    return job


def show(client: httpx.Client, job_id: str, wait_s: int) -> dict[str, Any]:
    response = client.get(f"/v1/jobs/{job_id}", params={"wait": wait_s})
    assert response.status_code == 200, response.text
    job: dict[str, Any] = response.json()
    return job


def ended(client: httpx.Client, job: dict[str, Any], wait_s: int) -> dict[str, Any]:
    while job["status"] not in ENDED:
        job = show(client, job["id"], wait_s)
    return job


def ask_and_wait(client: httpx.Client, text: str) -> dict[str, Any]:
    return ended(client, submit(client, {"input": {"text": text}}, Prefer="wait=30"), 30)


def ask_and_long_poll(client: httpx.Client, text: str) -> dict[str, Any]:
    return ended(client, submit(client, {"input": {"text": text}}), 30)


def ask_and_poll(client: httpx.Client, text: str) -> dict[str, Any]:
    job = submit(client, {"input": {"text": text}})
    eventually(
        lambda: show(client, job["id"], 0)["status"] in ENDED, "the end of a job", within_s=90
    )
    return show(client, job["id"], 0)


def ask_in_bulk(client: httpx.Client, series: Sequence[str]) -> list[dict[str, Any]]:
    job = submit(client, {"inputs": [{"text": text} for text in series]})
    assert ended(client, job, 30)["status"] == "succeeded"
    response = client.get(f"/v1/jobs/{job['id']}/results")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["index"] for line in lines] == list(range(len(series)))
    return [line["output"] for line in lines]


def run_client(stack: Stack, singles: Sequence[str], bulks: Sequence[Sequence[str]]) -> Answers:
    """One client thread: its own connection, its share of the jobs, in all the ways to ask."""
    ways: Sequence[Ask] = (ask_and_wait, ask_and_long_poll, ask_and_poll, ask_and_wait)
    answers: Answers = {}
    with stack.client() as client:
        for number, text in enumerate(singles):
            job = ways[number % len(ways)](client, text)
            assert job["status"] == "succeeded", job
            assert (job["attempts"], job["cached"]) == (1, False)
            answers[text] = job["output"]
        for series in bulks:
            answers.update(zip(series, ask_in_bulk(client, series), strict=True))
    return answers


def assert_same(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal but for what other neighbours in a batch change (see `BATCHING`)."""
    assert answer["scores"] == pytest.approx(expected["scores"], abs=BATCHING)
    assert answer["confidence"] == pytest.approx(expected["confidence"], abs=BATCHING)
    derived = {"scores", "confidence"} | ({"label", "action"} if is_close(expected) else set())
    for member in expected.keys() - derived:
        assert answer[member] == expected[member], (member, answer, expected)


def is_close(output: dict[str, Any]) -> bool:
    """Whether scores within `BATCHING` of these could have another label or action."""
    scores, thresholds = output["scores"], PIPELINE.policy.thresholds
    second, first = sorted(scores.values())[-2:]
    block, worse = scores["block"], scores["block"] + scores["review"]
    gaps = (first - second, block - thresholds["block"], worse - thresholds["review"])
    return any(abs(gap) <= 2 * BATCHING for gap in gaps)


def direct(series: Sequence[str]) -> Answers:
    """What the pipeline itself answers, without HTTP, Redis or Celery."""
    runtime = Runtime.load(PIPELINE, "cpu")
    outcomes = runtime.run(runtime.prepare([Item({"text": text}) for text in series])).outcomes
    assert all(outcome.output for outcome in outcomes)
    return {text: outcome.output or {} for text, outcome in zip(series, outcomes, strict=True)}


@pytest.mark.timeout(240)
def test_2000_jobs_of_32_clients_each_succeed_once_with_the_pipelines_own_answer(
    stack: Stack,
) -> None:
    singles = texts("single", SINGLES)
    bulk = texts("bulk", BULKS * BULK_ITEMS)
    bulks = [bulk[start : start + BULK_ITEMS] for start in range(0, len(bulk), BULK_ITEMS)]
    before = stack.ended().get("succeeded", 0)
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = [(singles[n::CLIENTS], bulks[n::CLIENTS]) for n in range(CLIENTS)]
        answers: Answers = {}
        for part in pool.map(lambda share: run_client(stack, *share), shares):
            answers.update(part)
    assert stack.ended() == {"succeeded": before + SINGLES + BULKS}
    expected = direct([*singles, *bulk])
    assert len(answers) == len(expected) == SINGLES + BULKS * BULK_ITEMS
    assert len({output["action"] for output in expected.values()}) > 1
    assert {output["tier"] for output in expected.values()} == {"cnn"}
    for text, output in expected.items():
        assert_same(answers[text], output)

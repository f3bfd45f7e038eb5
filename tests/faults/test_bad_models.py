"""Models that fail, and processes that die of them, on the real stack."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.store import keys
from tests.eventually import eventually
from tests.faults.report import Report
from tests.stack import Stack

LIMIT_S = 3
NEIGHBOURS = 40

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of bad models with short limits, whose gpu units wait for a gpu worker."""
    stack = Stack(
        tmp_path_factory.mktemp("bad"),
        "tests.faults.bad_models:lone",
        "tests.faults.bad_models:pair",
        hard_limit_s=LIMIT_S,
        lease_ms=3_000,
        renew_ms=1_000,
        gpu_patience_ms=120_000,
        breaker_cool_down_ms=2_000,
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


def ask(stack: Stack, text: str, pipeline: str = "pair", **options: Any) -> dict[str, Any]:
    """One job and its end."""
    body = {"pipeline": pipeline, "input": {"text": text}, "options": options}
    with stack.client() as client:
        job = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
    assert job["finished_at"], job
    return dict(job)


def ask_all(stack: Stack, texts: list[str]) -> list[dict[str, Any]]:
    """One bulk job of the pipeline `lone`; its result lines."""
    body = {"pipeline": "lone", "inputs": [{"text": text} for text in texts]}
    with stack.client() as client:
        job = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
        assert job["status"] == "succeeded", job
        lines = client.get(f"/v1/jobs/{job['id']}/results").text.splitlines()
    return [json.loads(line) for line in lines]


def among_others(stack: Stack, text: str) -> tuple[list[dict[str, Any]], float]:
    """A job of the pipeline `lone` with neighbours, all at once: their ends, its own first.

    Also the seconds from the moment its process held units until that process was gone.
    """
    child = stack.serving_child("gpu")
    bodies = [{"pipeline": "lone", "input": {"text": text}}]
    bodies += [{"pipeline": "lone", "input": {"text": f"sound {n}"}} for n in range(NEIGHBOURS)]
    with stack.client() as client, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda body: client.post("/v1/jobs", json=body), bodies)
        job_ids = [answer.json()["id"] for answer in answers]
        eventually(lambda: gone(child) or stack.held(child.pid), "units held")
        began = time.monotonic()
        eventually(lambda: gone(child), "the end of the process", within_s=LIMIT_S + 10)
        gone_s = time.monotonic() - began

        def all_ended() -> list[dict[str, Any]]:
            jobs = [client.get(f"/v1/jobs/{job_id}").json() for job_id in job_ids]
            return jobs if all(job["finished_at"] for job in jobs) else []

        return eventually(all_ended, "the end of every job", within_s=150), gone_s


def primary(output: dict[str, Any]) -> dict[str, Any]:
    """An output of the primary, or nothing."""
    return output if output["tier"] == "primary" else {}


def gone(process: psutil.Process) -> bool:
    """Whether it has ended, its parent having noticed or not."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def assert_quarantined(stack: Stack, jobs: list[dict[str, Any]]) -> None:
    """The first is dead after three attempts; the others are as if nothing had been."""
    bad, *others = jobs
    assert (bad["status"], bad["error"]["code"]) == ("failed", "poison_input")
    assert bad["attempts"] == 3
    assert Counter(job["status"] for job in others) == {"succeeded": NEIGHBOURS}
    dead: Any = stack.redis.xrange(keys.DEAD)
    assert bad["id"] in {fields["job"] for _, fields in dead}


@pytest.mark.parametrize("fault", ["nan", "raise", "short"])
def test_one_bad_item_in_64_fails_alone(stack: Stack, report: Report, fault: str) -> None:
    child = stack.serving_child("gpu")
    lines = ask_all(stack, [*(f"{n}" for n in range(40)), fault, *(f"{n}" for n in range(23))])
    failed = {n: line["error"]["code"] for n, line in enumerate(lines) if line["error"]}
    assert failed == {40: "model_error"}
    assert child.is_running()
    names = {"nan": "NaN output", "raise": "exception", "short": "wrong number of results"}
    report(f"{names[fault]} for 1 item in 64", succeeded=63, failed=1)


def test_a_batch_that_does_not_fit_in_memory_is_halved(stack: Stack, report: Report) -> None:
    child = stack.serving_child("gpu")
    for _ in range(2):
        lines = ask_all(stack, [f"oom {n}" for n in range(64)])
        assert not [line for line in lines if line["error"]]
    assert child.is_running()
    assert stack.log("gpu").count("ran out of memory") == 3  # 64, 32, 16; then it knows
    report("simulated CUDA OOM above batch 8", succeeded=64, processes_died=0)


def test_a_device_that_fails_gets_a_fresh_process(
    stack: Stack, report: Report, tmp_path: Path
) -> None:
    child, flag = stack.serving_child("gpu"), tmp_path / "assert"
    flag.touch()
    lines = ask_all(stack, [*(f"{n}" for n in range(63)), f"assert {flag}"])
    assert not [line for line in lines if line["error"]]
    eventually(lambda: not child.is_running(), "the end of the child that lost its device")
    assert "device lost" in stack.log("gpu")
    report("device-side assert", succeeded=64, processes_replaced=1)


def test_an_item_that_crashes_its_process_is_quarantined(stack: Stack, report: Report) -> None:
    jobs, _ = among_others(stack, "segv")
    assert_quarantined(stack, jobs)
    report("item that SIGSEGVs the process", attempts=3, neighbours_succeeded=NEIGHBOURS, lost=0)


@pytest.mark.parametrize("fault", ["hang", "hold"])
def test_a_hung_model_is_killed(stack: Stack, report: Report, fault: str) -> None:
    jobs, gone_s = among_others(stack, fault)
    assert gone_s < LIMIT_S + 10
    assert_quarantined(stack, jobs)
    how = "in Python" if fault == "hang" else "in C code with the GIL"
    report(
        f"model hung {how}, hard limit {LIMIT_S} s",
        killed_after_s=gone_s,
        neighbours_succeeded=NEIGHBOURS,
        lost=0,
    )


def test_a_tier_that_is_too_slow_is_answered_for_and_then_replaced(
    stack: Stack, report: Report
) -> None:
    child = stack.serving_child("gpu")
    output = ask(stack, "hang")["output"]
    assert (output["tier"], output["degraded"], output["reason"]) == ("fallback", True, "timeout")
    eventually(lambda: gone(child), "the end of the process", within_s=LIMIT_S + 10)
    # Until its successor has loaded, the cpu lane answers, and says why.
    found = eventually(lambda: primary(ask(stack, "afterwards")["output"]), "a primary again")
    assert (found["degraded"], found["reason"]) == (False, None)
    report("tier stuck beyond its time limit", answered_by="fallback", processes_replaced=1)


def test_nobody_gets_less_than_they_accept(stack: Stack, report: Report) -> None:
    job = ask(stack, "raise", min_tier="primary")
    assert (job["status"], job["output"]) == ("failed", None)
    assert job["error"]["code"] == "tier_unavailable"
    report("primary fails, min_tier: primary", degraded=0, failed_aloud=1)


def test_a_breaker_routes_round_a_tier_that_keeps_failing(
    stack: Stack, report: Report, tmp_path: Path
) -> None:
    flag = tmp_path / "sulk"
    flag.touch()

    def breaker() -> str:
        with stack.client() as client:
            tiers = client.get("/v1/pipelines/pair").json()["tiers"]
        return str(tiers[0]["breaker"])

    def outputs(count: int) -> list[tuple[str, str | None]]:
        found = [ask(stack, f"sulk {flag} {n}")["output"] for n in range(count)]
        return [(output["tier"], output["reason"]) for output in found]

    eventually(lambda: primary(ask(stack, "well")["output"]), "a primary that works")
    assert outputs(5) == [("fallback", "model_error")] * 5
    assert breaker() == "open"
    assert outputs(3) == [("fallback", "breaker_open")] * 3
    eventually(lambda: breaker() == "half_open", "the end of the cool-down")
    assert outputs(2) == [("fallback", "model_error"), ("fallback", "breaker_open")]
    flag.unlink()
    eventually(lambda: breaker() == "half_open", "the end of the cool-down")
    assert outputs(2) == [("primary", None)] * 2
    assert breaker() == "closed"
    report("primary that fails every call", failed=0, breaker="opened after 5, closed by a probe")

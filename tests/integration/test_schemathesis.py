"""The OpenAPI document against the running service: what it promises, holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack import ROOT, Stack

CASES = 2_000
CONFIG = ROOT / "tests" / "integration" / "schemathesis.toml"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All processes, with two pipelines that answer at once."""
    folder = tmp_path_factory.mktemp("schemathesis")
    stack = Stack(folder, "tests.pipelines:echo", enable_null=True, max_wrong_keys=10**6)
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


def run(stack: Stack, report: Path, *options: str) -> dict[str, Any]:
    """Run schemathesis, whatever comes of it, and read its report; what it says is printed."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    command += [f"{stack.url}/openapi.json", "--no-color", "--continue-on-failure"]
    command += ["--report", "json", "--report-json-path", str(report), *options]
    # The key in the environment, where the list of processes does not show it.
    env = os.environ | {
        "PENSTOCK_API_KEY": stack.settings.api_key,
        "SCHEMATHESIS_HOOKS": "tests.integration.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(command, cwd=report.parent, env=env, check=False, timeout=900)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


@pytest.mark.timeout(1_000)
def test_no_case_finds_the_service_at_odds_with_its_document(stack: Stack, tmp_path: Path) -> None:
    before = {name: {child.pid for child in stack.children(name)} for name in ("web", "gpu", "cpu")}
    found = run(stack, tmp_path / "report.json")
    cases = found["test_cases"]
    print(f"schemathesis: {cases['generated']} cases in {found['running_time']:.0f} s")  # noqa: T201
    assert found["failures"] == []
    assert found["errors"] == []
    assert (found["exit_code"], found["complete"]) == (0, True)
    assert {phase["status"] for phase in found["phases"].values()} == {"success"}
    assert set(found["phases"]) >= {"examples", "coverage", "fuzzing", "stateful"}
    assert cases["generated"] >= CASES
    submits = found["valid_rates"]["POST /v1/jobs"]["fuzzing"]
    assert submits["accepted"] >= 100, "most of what should be a job was none"
    assert before == {name: {child.pid for child in stack.children(name)} for name in before}

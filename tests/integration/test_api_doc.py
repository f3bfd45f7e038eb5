"""docs/api.md: its commands work as pasted, against real processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack import ROOT, Stack

pytestmark = pytest.mark.core

DOC = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
COMMANDS = [block for block in BLOCKS if "curl" in block]


def test_each_command_ends_as_the_page_says(stack: Stack, tmp_path: Path) -> None:
    assert shutil.which("curl"), "docs/api.md is tried with curl, which is not installed"
    var = tmp_path / "var"
    var.mkdir()
    key = stack.settings.api_key
    (var / "dev.env").write_text(f"PENSTOCK_URL={stack.url}\nPENSTOCK_API_KEY={key}\n")
    # What curl reads of itself: each answer's status goes to stderr.
    (tmp_path / ".curlrc").write_text('write-out = "%{stderr}%{http_code}\\n"\n')
    env = {"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path), "HOME": str(tmp_path)}
    # One shell for all, since later commands use what earlier ones set.
    done = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", "\n".join(BLOCKS)],  # noqa: S607
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    said = [block.partition("\n")[0].removeprefix("# ") for block in COMMANDS]
    assert done.stderr.split() == said, done.stdout[-3_000:]
    assert done.returncode == 0
    assert '"status":"succeeded"' in done.stdout
    assert re.search(r"job_\w{26}$", done.stdout, re.MULTILINE)


def test_every_command_says_how_it_ends() -> None:
    assert len(COMMANDS) >= 10
    assert [block for block in COMMANDS if not re.match(r"# [1-5]\d\d\n", block)] == []

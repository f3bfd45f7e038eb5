"""Prometheus's own checker."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_MISSING = "promtool is missing: apt-get install prometheus"


def promtool(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it. Where it is missing, the test is skipped; in CI, which installs it, it fails."""
    found = shutil.which("promtool")
    if found is None and "CI" in os.environ:
        pytest.fail(_MISSING)
    if found is None:
        pytest.skip(_MISSING)
    return subprocess.run([found, *args], capture_output=True, text=True, check=False)

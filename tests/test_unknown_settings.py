"""Every process that reads settings warns of variables that look like one and are none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SECRETS = ("REDIS_PASSWORD", "PENSTOCK_API_KEY", "PENSTOCK_KEY_PEPPER", "PENSTOCK_WEBHOOK_KEY")

WEB = "import app.wsgi"
WORKER = """
from tasks.config.settings import SettingsError
from tasks.worker import __main__ as worker

def stop_here(*_):
    raise SettingsError("the test ends here")

worker.serve_metrics = stop_here
assert worker.main(["cpu"]) == 2
"""


@pytest.mark.parametrize("program", [WEB, WORKER], ids=["web", "worker"])
def test_a_misspelt_variable_is_logged_with_the_nearest_setting(program: str) -> None:
    env = {"PATH": os.environ["PATH"], "PENSTOCK_LEASE_MSS": "1"} | dict.fromkeys(SECRETS, "x" * 16)
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    (line,) = [one for one in done.stdout.splitlines() + done.stderr.splitlines() if "MSS" in one]
    assert "no such setting: ignored" in line
    assert "PENSTOCK_LEASE_MSS" in line
    assert "PENSTOCK_LEASE_MS" in line.replace("PENSTOCK_LEASE_MSS", "")

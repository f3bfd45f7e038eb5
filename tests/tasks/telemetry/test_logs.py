"""Logs as they are written: by a process of its own, since the configuration is a process's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SAYS = """
import logging
from tasks.telemetry.logs import ACCESS_LOG, configure_logs, get_logger
from tasks.config.settings import Settings

four = dict.fromkeys(("redis_password", "api_key", "key_pepper", "webhook_key"), "x" * 16)
configure_logs(Settings(**four, log_format="{form}", log_level="{level}"))
get_logger(ACCESS_LOG).info("request", request_id="r", status=200, odd=10**30, text="\\udcff")
get_logger("tasks.x").info("worker ready", lane="gpu")
logging.getLogger("library").warning("of a %s", "library")
get_logger(ACCESS_LOG).debug("request", request_id="quiet")
print("went on")
"""


def said(form: str, level: str = "INFO") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SAYS.format(form=form, level=level)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


def test_every_line_is_a_json_object_whichever_logger_wrote_it() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in said("json")]
    assert [line["event"] for line in lines] == ["request", "worker ready", "of a library"]
    assert all({"level", "timestamp"} <= line.keys() for line in lines)
    assert (lines[0]["request_id"], lines[0]["odd"]) == ("r", 10**30)


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_level_holds_for_lines_written_directly(form: str) -> None:
    assert len(said(form, "DEBUG")) == 4
    assert len(said(form, "WARNING")) == 1


def test_the_console_is_for_people() -> None:
    first = said("console")[0]
    assert "request" in first
    assert "status" in first
    assert not first.startswith("{")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_failed_write_of_a_line_stops_nothing(form: str) -> None:
    with Path("/dev/full").open("wb") as full:  # a disk without room
        done = subprocess.run(
            [sys.executable, "-c", SAYS.format(form=form, level="DEBUG")],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert done.stdout == "went on\n"

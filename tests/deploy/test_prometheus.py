"""The scrape configuration is valid, and its ports and key are those of the settings."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tasks.config.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
CONFIG: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
JOBS: dict[str, dict[str, Any]] = {job["job_name"]: job for job in CONFIG["scrape_configs"]}
DEFAULTS = {field.name: field.default for field in dataclasses.fields(Settings)}


def ports(job: str) -> list[int]:
    targets = [target for group in JOBS[job]["static_configs"] for target in group["targets"]]
    return [int(str(target).rpartition(":")[2]) for target in targets]


def test_it_scrapes_every_process_where_it_is_by_default() -> None:
    first = int(str(DEFAULTS["metrics_port"]))
    assert ports("penstock-web") == [DEFAULTS["port"]]
    assert ports("penstock-workers") == [first, first + 1, first + 2]
    assert ports("penstock-flower") == [DEFAULTS["flower_port"]]


def test_keys_are_read_from_files() -> None:
    for name in ("penstock-web", "penstock-workers"):
        assert set(JOBS[name]["authorization"]) == {"credentials_file"}
    assert set(JOBS["penstock-flower"]["basic_auth"]) == {"username", "password_file"}


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    text = (FOLDER / "prometheus.yml").read_text().replace("/etc/penstock/", f"{tmp_path}/")
    (tmp_path / "prometheus.yml").write_text(text)
    for name in ("api-key", "flower-password"):
        (tmp_path / name).write_text("a key")
    (tmp_path / "alerts.yml").write_text("groups: []")  # the rules have tests of their own
    done = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

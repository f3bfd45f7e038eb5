"""Alerts fire when they should, have a section in the runbook, and use metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.metric_names import METRICS, metrics_in, unknown_metrics
from tests.deploy.promtool import promtool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/prometheus"
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {str(rule["alert"]): rule for rule in RULES if "alert" in rule}
TESTS = sorted(FOLDER.glob("alerts*_test.yml"))
SCENARIOS: list[dict[str, Any]] = [
    scenario for file in TESTS for scenario in yaml.safe_load(file.read_text())["tests"]
]
PARTS = ["Clients see", "Look first at", "ikely causes", "do not", "It clears"]


def section(alert: str) -> str:
    """The runbook's text under the alert's heading; empty if there is none."""
    found = re.search(rf"^## {alert}\n(.*?)(?=^## |\Z)", RUNBOOK, re.DOTALL | re.MULTILINE)
    return found.group(1) if found else ""


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = promtool("check", "rules", FOLDER / "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_in_a_test() -> None:
    told = "".join(file.read_text() for file in TESTS)
    fired = set(re.findall(r'"(Penstock\w+)"', told))
    assert set(ALERTS) <= fired


@pytest.mark.parametrize("kind", ["low traffic", "a counter reset"])
def test_every_metric_of_the_rules_is_there_where_nothing_may_ever_fire(kind: str) -> None:
    quiet = [scenario for scenario in SCENARIOS if scenario["name"].startswith(kind)]
    checks = [check for scenario in quiet for check in scenario["promql_expr_test"]]
    assert all('count_over_time(ALERTS{alertstate="firing"}[' in check["expr"] for check in checks)
    assert all(check["exp_samples"] == [] for check in checks)
    fed = " ".join(series["series"] for scenario in quiet for series in scenario["input_series"])
    asked = {name for rule in RULES for name in metrics_in(rule["expr"])}
    assert asked - set(metrics_in(fed)) == set()


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_whom_it_wakes_what_is_wrong_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"


@pytest.mark.parametrize("alert", ALERTS)
def test_the_runbook_has_a_section_for_an_alert_with_all_its_parts(alert: str) -> None:
    text = section(alert)
    assert text.strip().startswith(f"{ALERTS[alert]['labels']['severity']}. ")
    missing = [part for part in PARTS if part.lower() not in text.lower()]
    assert not missing


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == list(ALERTS)


def test_rules_use_metrics_that_exist() -> None:
    assert [name for rule in RULES for name in unknown_metrics(str(rule["expr"]))] == []


def test_the_runbook_asks_for_metrics_that_exist() -> None:
    asked = re.findall(r"\bmetrics (\w+)", RUNBOOK)
    wrong = [name for name in asked if not _begins_a_metric(name)]
    assert asked
    assert not wrong


def _begins_a_metric(name: str) -> bool:
    """The runbook's shell function `metrics` greps for names that begin so."""
    return any(known.startswith(f"penstock_{name}") for known in METRICS)

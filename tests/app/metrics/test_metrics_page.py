"""docs/metrics.md, the code and what /metrics shows have the same names, types and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics.counters import FAMILIES
from tasks.telemetry.metrics.process import ALL_METRICS, WORKER_METRICS, process_metrics

PAGE = (Path(__file__).parents[3] / "docs/metrics.md").read_text()
LATER = ("penstock_drift_", "penstock_cost_")  # shown once there is something to show


class Row(NamedTuple):
    kind: str
    labels: set[str]
    where: str


def documented() -> dict[str, Row]:
    rows = re.findall(r"^\| `(penstock_\w+)` \| (\w+) \| (.*?)\| .* \| (web|worker) \|", PAGE, re.M)
    assert len(rows) == len({name for name, *_ in rows}), "a name stands there twice"
    return {
        name: Row(kind, {label for label in re.split(r"[, ]+", labels) if label}, where)
        for name, kind, labels, where in rows
    }


def shown_by_workers() -> str:
    registry = CollectorRegistry()
    registry.register(process_metrics().collector(WORKER_METRICS))
    return generate_latest(registry).decode()


def types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))


def test_the_page_has_all_that_is_shown_and_nothing_else(client: FlaskClient) -> None:
    page = documented()
    for where, text in (("web", client.get("/metrics").text), ("worker", shown_by_workers())):
        shown = types(text)
        rows = {name: row.kind for name, row in page.items() if row.where == where}
        assert shown.items() <= rows.items()
        assert all(name.startswith(LATER) for name in rows.keys() - shown.keys())


def test_the_page_has_the_labels_of_the_code() -> None:
    page = documented()
    for family in FAMILIES.values():
        name = family.name if family.bounds else f"{family.name}_total"
        assert page[name].labels == set(family.labels), name
    for measure in ALL_METRICS:
        assert page[measure.name].labels == set(measure.labels), measure.name


def test_the_page_has_the_labels_that_are_shown(client: FlaskClient) -> None:
    client.get("/v1/pipelines")
    page = documented()
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == page[name].labels, name


@pytest.mark.parametrize("name", sorted(documented()))
def test_names_end_in_their_unit_and_counters_in_total(name: str) -> None:
    row = documented()[name]
    assert name.endswith("_total") == (row.kind == "counter")
    assert not row.labels & {"job", "job_id", "owner", "key", "path", "request_id"}

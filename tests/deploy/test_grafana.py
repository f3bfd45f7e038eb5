"""The dashboard is well formed, shows metrics that exist, and every query is PromQL."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.metric_names import METRICS, metrics_in, unknown_metrics
from tests.deploy.promtool import promtool

PATH = Path(__file__).parents[2] / "deploy/grafana/penstock.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [str(target["expr"]) for panel in GRAPHS for target in panel["targets"]]
ROWS = [
    *("Traffic and latency", "Outcomes", "Lanes", "Batches", "Devices and cost", "Cache"),
    *("Webhooks", "Breakers and drift", "Redis"),
]


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """The places of Grafana's grid, 24 wide, that a panel takes."""
    x, y, w, h = (int(panel["gridPos"][side]) for side in "xywh")
    return set(itertools.product(range(x, x + w), range(y, y + h)))


def test_it_has_a_row_for_each_subject() -> None:
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == ROWS


def test_ids_and_titles_are_its_own_for_each_panel() -> None:
    for field in ("id", "title"):
        values = [panel[field] for panel in PANELS]
        assert all(values)
        assert len(set(values)) == len(values)


def test_panels_stay_on_the_grid_and_off_each_other() -> None:
    taken = [cell for panel in PANELS for cell in cells(panel)]
    assert len(set(taken)) == len(taken)
    assert all(0 <= x < 24 for x, _ in taken)


def test_every_panel_asks_the_data_source_that_the_reader_chose() -> None:
    variables = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"] == "datasource"
    asked = [part["datasource"] for panel in GRAPHS for part in (panel, *panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in asked)


def test_every_graph_shows_metrics_that_exist() -> None:
    assert all(metrics_in(query) for query in QUERIES)
    assert [name for query in QUERIES for name in unknown_metrics(query)] == []


def test_every_counter_and_gauge_of_the_table_is_on_it() -> None:
    shown = {name for query in QUERIES for name in metrics_in(query)}
    left = {name for name in METRICS - shown if not name.endswith(("_bucket", "_sum", "_count"))}
    assert left == set()


def test_promtool_can_read_every_query(tmp_path: Path) -> None:
    known = [query.replace("$__rate_interval", "5m") for query in QUERIES]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(known)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr

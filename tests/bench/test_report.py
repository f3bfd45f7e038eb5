from __future__ import annotations

import dataclasses

import pytest

from bench import report
from bench.measure import Sample, quantile
from bench.rounds import Findings

SAMPLE = Sample(
    jobs=100,
    items=100,
    requests=200,
    seconds=1.0,
    rate=100.0,
    submit_rate=None,
    completed_rate=None,
    p50_ms=10.0,
    p99_ms=40.0,
    cpu_us={"redis": 100.0, "web": 900.0},
    generator_us=20.0,
    others=0.01,
)


def found(*rates: float, queued: float | None = None) -> Findings:
    samples = [dataclasses.replace(SAMPLE, rate=rate, p50_ms=1e3 / rate) for rate in rates]
    return Findings({"wait": samples}, {"web": 100 * 2**20}, {"web": 120 * 2**20}, queued)


def test_the_table_holds_medians_spread_and_what_the_first_is_better_by() -> None:
    rows = report.table(
        {"ours": found(2_000, 1_900, 2_200, queued=300), "theirs": found(400, 500, 450, queued=600)}
    )
    shown = {row.what: (*row.cells, row.ratio) for row in rows}
    title = "single, `Prefer: wait`"
    assert shown[f"{title}: jobs/s"] == ("2,000 (1,900-2,200)", "450 (400-500)", "4.44x")
    assert shown[f"{title}: p50 ms"] == ("0.5", "2.2", "4.44x")
    assert shown[f"{title}: CPU us/job"] == ("1,000", "1,000", "1.00x")
    assert shown["memory of all processes, busy: MiB"] == ("120", "120", "1.00x")
    assert shown["Redis bytes per queued job"] == ("300", "600", "2.00x")


def test_one_or_three_systems_have_no_ratio() -> None:
    for count in (1, 3):
        rows = report.table({str(i): found(100.0) for i in range(count)})
        assert {row.ratio for row in rows} == {""}


def test_both_forms_show_the_same_rows() -> None:
    names = ["ours", "theirs"]
    rows = report.table({"ours": found(2_000), "theirs": found(500)})
    text = report.as_text(rows, names).splitlines()
    markdown = report.as_markdown(rows, names).splitlines()
    assert text[0].split() == ["ours", "theirs", "ratio"]
    assert markdown[:2] == ["| | ours | theirs | ratio |", "|---|---:|---:|---:|"]
    assert markdown[2] == (
        "| single, `Prefer: wait`: jobs/s | 2,000 (2,000-2,000) | 500 (500-500) | 4.00x |"
    )
    assert len(text) - 1 == len(markdown) - 2 == len(rows)


def test_costs_name_every_role_the_generator_and_others() -> None:
    assert report.costs({"ours": found(100.0)}) == (
        "ours, wait: CPU us/item redis 100, web 900; "
        "load generator 20 us/request; others 1.0% of the CPU"
    )


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_quantiles_are_by_nearest_rank(share: float, value: float) -> None:
    assert quantile([float(i) for i in range(100, 0, -1)], share) == value

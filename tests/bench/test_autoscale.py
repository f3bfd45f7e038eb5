"""The simulation behind docs/autoscaling.md, on traces that are a fraction as long."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from bench.autoscale import best, best_for_all, compare, kedas, line, most_within, plot
from bench.autoscale_rules import Celery, Keda, Penstock
from bench.autoscale_sim import (
    NODE,
    POOL,
    Fleet,
    Lane,
    Run,
    Setup,
    Trace,
    View,
    p95,
    simulate,
    traces,
)

SHORT = traces(7, hours=0.25)[:4] + traces(7, hours=0.05)[4:]
QUIET = View(1_000, 0, 0, 0.0, 0.0, 10, 0)


def run(hours: float, p95_s: int = 1) -> Run:
    return Run("steady", "rule", 10.0, p95_s, [1] * round(hours * 3_600), [0])


@pytest.mark.parametrize("trace", SHORT, ids=lambda trace: trace.name)
def test_the_target_is_met_with_fewer_hours_than_the_peers_need_to_meet_it(trace: Trace) -> None:
    (runs,) = compare(POOL, [trace], seed=7)
    ours, *peers = runs
    assert ours.met
    assert ours.hours < min((peer.hours for peer in peers if peer.met), default=float("inf"))
    assert peers[0].met, "Celery's rule always has plenty"


@pytest.mark.parametrize("setup", [POOL, NODE], ids=lambda setup: setup.name)
@pytest.mark.parametrize("trace", traces(3, hours=0.5)[:4], ids=lambda trace: trace.name)
def test_reversals_are_a_cool_down_apart(setup: Setup, trace: Trace) -> None:
    found = simulate(trace, setup, Penstock(setup), seed=3).reversals
    assert all(b - a >= setup.limits.cool_down_s for a, b in itertools.pairwise(found))
    assert most_within(found, 60) <= 1


def test_nodes_that_start_in_a_minute_meet_two_minutes_from_none_at_all() -> None:
    waves = traces(7)[3]
    found = simulate(waves, NODE, Penstock(NODE), seed=7)
    assert found.met
    assert min(found.sizes[600:1_200]) == 0, "nobody is paid for the second half of a pause"


def test_the_same_seed_says_the_same() -> None:
    found = [simulate(SHORT[1], POOL, Penstock(POOL), seed=5) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0] != simulate(SHORT[1], POOL, Penstock(POOL), seed=6)


def test_a_lane_is_first_in_first_out_and_counts_waits() -> None:
    lane = Lane()
    lane.add(0, 3)
    lane.add(5, 2)
    assert lane.take(6, 4) == 4
    assert (lane.waits, lane.depth, lane.oldest_s(7)) == ({6: 3, 1: 1}, 1, 2)


def test_those_that_do_not_serve_yet_are_given_up_first() -> None:
    fleet = Fleet(2)
    fleet.resize(5, serves_at=10)
    fleet.resize(3, serves_at=10)
    assert (fleet.ready, fleet.size) == (2, 3)
    fleet.tick(10)
    assert fleet.ready == 3


def test_p95_is_what_19_of_20_units_do_not_exceed() -> None:
    assert p95({0: 95, 9: 5}) == 0
    assert p95({0: 94, 9: 6}) == 9
    assert p95({}) == 0


def test_celery_grows_at_once_and_shrinks_after_half_a_minute_without_messages() -> None:
    rule = Celery(POOL.limits)
    assert rule.workers(replace(QUIET, inside=25, arrived=1)) == 25
    assert rule.workers(replace(QUIET, inside=9_999, arrived=1)) == POOL.limits.highest
    assert rule.workers(replace(QUIET, now_s=1_030)) == 10
    assert rule.workers(replace(QUIET, now_s=1_031)) == 1


def test_keda_grows_by_queue_length_and_shrinks_to_the_most_of_five_minutes() -> None:
    rule = Keda(POOL.limits, threshold=10.0)
    assert rule.workers(replace(QUIET, inside=150)) == 15
    assert rule.workers(replace(QUIET, inside=9_999)) == 20, "no more than double in 15 s"
    assert rule.workers(replace(QUIET, now_s=1_299, inside=20)) == 10
    assert rule.workers(replace(QUIET, now_s=1_301, inside=20)) == 2


def test_keda_keeps_what_is_within_a_tenth() -> None:
    assert Keda(POOL.limits, threshold=10.0).workers(replace(QUIET, inside=109)) == 10


def test_keda_goes_to_zero_after_its_cool_down_and_wakes_with_one() -> None:
    rule = Keda(NODE.limits, threshold=10.0)
    assert rule.workers(replace(QUIET, inside=1, current=1)) == 1
    assert rule.workers(replace(QUIET, now_s=1_299, current=1)) == 1
    assert rule.workers(replace(QUIET, now_s=1_300, current=1)) == 0
    assert rule.workers(replace(QUIET, now_s=1_315, current=0, inside=500)) == 1


def test_a_peer_is_shown_at_its_best() -> None:
    runs = {1.0: run(3.0), 2.0: run(2.0), 3.0: run(1.0, p95_s=11)}
    assert best(runs) is runs[2.0]
    assert best({1.0: run(1.0, p95_s=20), 2.0: run(9.0, p95_s=11)}).p95_s == 11
    assert best_for_all([runs, runs]) == 2.0


def test_a_threshold_is_never_less_than_one_unit() -> None:
    assert min(kedas(Trace("short", [1.0] * 60), POOL, seed=1)) == 1.0


def test_a_target_that_is_missed_stands_out() -> None:
    assert "| 11 | **no** | 2.00 | 0 | 0 |" in line(POOL, run(2.0, p95_s=11))


def test_plots_are_small_files(tmp_path: Path) -> None:
    groups = list(compare(POOL, [Trace("short", [1.0] * 300)], seed=1))
    plot(POOL, groups, tmp_path / "some.png")
    assert 1_000 < (tmp_path / "some.png").stat().st_size < 100_000

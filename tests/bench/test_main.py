from __future__ import annotations

import pytest

from bench.__main__ import QUICK, _parser, _plan
from bench.modes import Load
from bench.rounds import Plan


def plan(*argv: str) -> Plan:
    return _plan(_parser().parse_args(argv))


def test_the_whole_bench_compares_both_systems_in_every_mode_three_times() -> None:
    whole = plan()
    assert [system.name for system in whole.systems] == ["penstock", "flask-celery"]
    assert list(whole.modes) == ["wait", "poll", "drain", "bulk"]
    assert (whole.repeats, whole.load, whole.queue_jobs) == (3, Load(), 20_000)
    assert {system.fsync for system in whole.systems} == {"always"}


def test_quick_is_one_short_round() -> None:
    assert (plan("--quick").repeats, plan("--quick").load) == (1, QUICK)


def test_the_fsync_policy_is_the_same_for_both() -> None:
    assert {system.fsync for system in plan().systems} == {"always"}
    assert {system.fsync for system in plan("--fsync=everysec").systems} == {"everysec"}


def test_comparing_fsync_sets_penstock_beside_itself() -> None:
    systems = plan("--compare-fsync").systems
    assert [(system.name, system.fsync) for system in systems] == [
        ("penstock", "always"),
        ("penstock, fsync everysec", "everysec"),
    ]


def test_comparing_flower_sets_penstock_beside_itself_without_events() -> None:
    told, untold, shown = plan("--compare-flower").systems
    assert (told.name, untold.name, shown.name) == ("events", "no events", "events and Flower")
    assert untold.env == {**told.env, "PENSTOCK_FLOWER_JOBS_PER_S": "0"}
    assert shown.workers.keys() - told.workers.keys() == {"flower"}


def test_an_unknown_mode_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        plan("--modes=wait,burst")
    assert "burst: choose from wait, poll, drain, bulk" in capsys.readouterr().err

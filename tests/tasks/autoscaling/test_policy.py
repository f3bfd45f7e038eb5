"""Autoscaling policy: how many workers a lane should have."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.autoscaling.policy import LaneLoad, PolicyState, ScalingLimits, desired_workers

LIMITS = ScalingLimits(1, 20, target_wait_s=10.0)
TO_ZERO = replace(LIMITS, lowest=0)
KNOWN = PolicyState(seen_s=99.0, per_worker=2.0, recent=8.0, usual=8.0)  # needs 4 workers
NOTHING = LaneLoad(0, 0.0, 0.0, 0)

finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite
loads = st.builds(LaneLoad, st.integers(), finite, finite, st.integers())
limits = st.builds(ScalingLimits, st.integers(), st.integers(), finite, finite, finite)
memories = st.builds(
    PolicyState,
    changed_s=maybe,
    direction=st.integers(-1, 1),
    turned_s=maybe,
    idle_since_s=maybe,
    seen_s=maybe,
    depth=st.integers(),
    per_worker=finite,
    recent=finite,
    usual=finite,
    wanted=st.none() | st.integers(),
)
usual_limits = st.builds(
    ScalingLimits,
    st.integers(0, 3),
    st.integers(3, 50),
    st.sampled_from([1.0, 10.0, 120.0]),
    st.sampled_from([10.0, 60.0]),
    st.sampled_from([20.0, 300.0]),
)
looks = st.tuples(
    st.sampled_from([0.5, 1.0, 15.0, 70.0]),
    st.integers(0, 500) | st.just(0),
    st.floats(0, 200),
    st.floats(0, 100) | st.just(0.0),
)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(loads, limits, memories, finite)
def test_any_finite_input_has_an_answer_within_the_limits(
    load: LaneLoad, limits: ScalingLimits, memory: PolicyState, now_s: float
) -> None:
    workers, after = desired_workers(load, limits, memory, now_s)
    lowest = min(max(limits.lowest, 0), 10**12)
    assert lowest <= workers <= min(max(limits.highest, lowest), 10**12)
    assert PolicyState(**json.loads(json.dumps(asdict(after), allow_nan=False))) == after


@settings(deadline=None, max_examples=300, derandomize=True)
@given(usual_limits, st.lists(looks, min_size=5, max_size=60))
def test_direction_changes_at_most_once_in_a_cool_down_except_from_zero(
    limits: ScalingLimits, history: list[tuple[float, int, float, float]]
) -> None:
    now_s, current, memory, last, turns = 0.0, limits.lowest, PolicyState(), 0, []
    for step_s, depth, oldest_s, drain in history:
        now_s += step_s
        load = LaneLoad(depth, oldest_s if depth else 0.0, drain, current)
        workers, memory = desired_workers(load, limits, memory, now_s)
        change = (workers > current) - (workers < current)
        if change * last < 0 and current > 0:
            turns.append(now_s)
        last, current = change or last, workers
    assert all(b - a >= limits.cool_down_s for a, b in itertools.pairwise(turns))


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    usual_limits,
    st.builds(LaneLoad, *(st.integers(0, 500), *[st.floats(0, 100)] * 2, st.integers(0, 20))),
    st.integers(0, 500),
    st.just(0.0) | st.floats(0.01, 10),
)
def test_a_deeper_lane_never_gets_fewer_workers(
    limits: ScalingLimits, load: LaneLoad, more: int, rate: float
) -> None:
    memory = replace(KNOWN, per_worker=rate)
    found = [
        desired_workers(one, limits, memory, 100.0)[0]
        for one in (load, replace(load, depth=load.depth + more))
    ]
    assert found[0] <= found[1]


def test_a_lane_that_is_served_in_time_keeps_its_workers() -> None:
    memory = KNOWN
    for now in range(100, 1_000):
        workers, memory = desired_workers(LaneLoad(3, 0.4, 8.0, 5), LIMITS, memory, float(now))
        assert workers == 5


def test_a_burst_is_answered_at_once_and_again_a_second_later() -> None:
    first, memory = desired_workers(LaneLoad(80, 1.0, 8.0, 4), LIMITS, KNOWN, 100.0)
    second, _ = desired_workers(LaneLoad(160, 2.0, 8.0, first), LIMITS, memory, 101.0)
    assert 4 < first < second


def test_the_need_is_depth_and_coming_arrivals_over_what_a_worker_does_until_then() -> None:
    # 100 waiting and 20/s for 5 s; a worker does 2/s for 5 s and for the 7 s that a unit may wait.
    load, memory = LaneLoad(100, 5.0, 8.0, 4), replace(KNOWN, recent=20.0, seen_s=100.0)
    assert desired_workers(load, LIMITS, memory, 100.0)[0] == 9  # 200 / 24


def test_no_more_than_the_highest_however_deep_the_lane() -> None:
    assert desired_workers(LaneLoad(10**9, 900.0, 8.0, 4), LIMITS, KNOWN, 100.0)[0] == 20


def test_a_lane_grows_from_zero_at_once_even_right_after_shrinking() -> None:
    memory = replace(KNOWN, changed_s=99.0, turned_s=99.0, direction=-1, wanted=0, recent=0.0)
    assert desired_workers(LaneLoad(1, 0.1, 0.0, 0), TO_ZERO, memory, 100.0)[0] == 1


def test_a_lane_that_grows_from_zero_knows_the_rate_of_a_worker() -> None:
    memory = replace(KNOWN, wanted=0, recent=0.0)
    assert desired_workers(LaneLoad(100, 1.0, 0.0, 0), TO_ZERO, memory, 100.0)[0] >= 5


def test_an_empty_lane_without_workers_stays_at_zero() -> None:
    assert desired_workers(NOTHING, TO_ZERO, KNOWN, 100.0)[0] == 0


def empty_for(seconds: int, limits: ScalingLimits) -> list[int]:
    """Workers asked for in each second, from eight."""
    memory, current, found = replace(KNOWN, changed_s=99.0, direction=1), 8, []
    for now in range(100, 100 + seconds):
        current, memory = desired_workers(
            replace(NOTHING, current=current), limits, memory, float(now)
        )
        found.append(current)
    return found


def test_shrinking_waits_for_the_cool_down_and_gives_up_half_at_a_time() -> None:
    found = empty_for(400, LIMITS)
    assert found[:59] == [8] * 59
    assert [workers for workers, _ in itertools.groupby(found)] == [8, 4, 2, 1]
    assert [len(list(same)) for _, same in itertools.groupby(found)][:3] == [59, 60, 60]


def test_a_lane_has_no_worker_only_after_it_was_idle_for_so_long() -> None:
    found = empty_for(400, TO_ZERO)
    assert found.index(0) == 300
    assert set(found[300:]) == {0}


def test_a_lane_that_settles_a_unit_now_and_then_is_not_idle() -> None:
    memory, current = replace(KNOWN, recent=0.0, usual=0.0), 1
    for now in range(100, 1_000):
        load = LaneLoad(0, 0.0, 1 / 100, current)
        current, memory = desired_workers(load, TO_ZERO, memory, float(now))
        assert current == 1


def test_arrivals_that_barely_fit_fewer_workers_do_not_cause_shrinking() -> None:
    memory = replace(KNOWN, direction=1, changed_s=0.0, seen_s=100.0, usual=7.8, recent=7.8)
    assert desired_workers(LaneLoad(0, 0.0, 7.8, 5), LIMITS, memory, 100.0)[0] == 5
    assert (
        desired_workers(LaneLoad(0, 0.0, 6.8, 5), LIMITS, replace(memory, usual=6.8), 100.0)[0] == 4
    )


def test_a_change_of_direction_waits_for_the_cool_down_of_the_last_one() -> None:
    memory = replace(KNOWN, direction=-1, changed_s=80.0, turned_s=80.0)
    burst = LaneLoad(400, 5.0, 8.0, 4)
    assert desired_workers(burst, LIMITS, memory, 100.0)[0] == 4
    assert desired_workers(burst, LIMITS, replace(memory, turned_s=40.0), 100.0)[0] == 20


def test_a_unit_older_than_the_target_brings_one_more_worker_though_few_wait() -> None:
    assert desired_workers(LaneLoad(2, 11.0, 8.0, 5), LIMITS, KNOWN, 100.0)[0] == 6


def test_workers_double_while_their_rate_is_not_known_and_units_are_late() -> None:
    late, in_time = LaneLoad(50, 6.0, 0.0, 3), LaneLoad(50, 4.0, 0.0, 3)
    assert desired_workers(late, LIMITS, PolicyState(), 100.0)[0] == 6
    assert desired_workers(in_time, LIMITS, PolicyState(), 100.0)[0] == 3


def test_the_rate_of_a_worker_is_learned_when_all_are_busy_and_kept_when_they_are_not() -> None:
    memory = PolicyState()
    for now in range(60):
        _, memory = desired_workers(LaneLoad(500, 9.0, 6.0, 3), LIMITS, memory, float(now))
    assert memory.per_worker == pytest.approx(2.0, rel=0.01)
    for now in range(60, 600):
        _, memory = desired_workers(LaneLoad(0, 0.0, 0.6, 3), LIMITS, memory, float(now))
    assert memory.per_worker == pytest.approx(2.0, rel=0.01)


def test_a_lane_that_is_stuck_does_not_make_workers_look_slow() -> None:
    _, memory = desired_workers(LaneLoad(500, 9.0, 0.0, 4), LIMITS, KNOWN, 300.0)
    assert memory.per_worker == KNOWN.per_worker


def test_nothing_grows_while_the_rate_of_a_first_worker_still_rises() -> None:
    load = LaneLoad(60, 3.0, 0.5, 1)
    workers, memory = desired_workers(load, LIMITS, PolicyState(seen_s=99.0), 100.0)
    assert workers == 1
    assert desired_workers(replace(load, drain_per_s=1.0), LIMITS, memory, 101.0)[0] == 1


def test_limits_that_change_hold_at_once() -> None:
    memory = replace(KNOWN, wanted=8, changed_s=99.0)
    assert (
        desired_workers(LaneLoad(0, 0.0, 8.0, 8), replace(LIMITS, highest=3), memory, 100.0)[0] == 3
    )
    assert (
        desired_workers(LaneLoad(0, 0.0, 8.0, 8), replace(LIMITS, lowest=12), memory, 100.0)[0]
        == 12
    )


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    memory = replace(KNOWN, changed_s=9_000.0, turned_s=9_000.0, seen_s=9_000.0, direction=-1)
    assert desired_workers(LaneLoad(400, 5.0, 8.0, 4), LIMITS, memory, 100.0)[0] > 4

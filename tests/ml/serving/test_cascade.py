"""Tiers in order, failures alone."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch

from ml.serving.cascade import Answer, Cascade, Member
from ml.serving.device_faults import DeviceLost
from ml.serving.loaded_tier import LoadedTier
from ml.serving.outcomes import ItemError, Verdict
from tests.ml.toys import (
    Length,
    Scripted,
    fails_on,
    good,
    not_finite_on,
    one_too_few,
    waits_for,
)

ANY = 9


def members(*costs: int, floor: int = ANY) -> list[Member]:
    return [Member(Length(cost), floor) for cost in costs]


def ask(cascade: Cascade, asked: list[Member], skip: set[str] | None = None) -> list[Any]:
    return list(cascade.answer(asked, skip or set())[0])


def cascade(*tiers: Scripted, timeout_s: float = math.inf) -> Cascade:
    return Cascade([LoadedTier(f"t{n}", tier, timeout_s) for n, tier in enumerate(tiers)])


def test_the_top_tier_answers_without_a_reason_when_it_can() -> None:
    below = Scripted(good)
    answers = ask(cascade(Scripted(good), below), members(1, 2))
    assert [(a.tier, a.reason) for a in answers if isinstance(a, Answer)] == [("t0", None)] * 2
    assert below.sizes == []


def test_a_bad_member_falls_to_the_tier_below_and_its_neighbours_do_not() -> None:
    answers = ask(cascade(Scripted(fails_on(3)), Scripted(good)), members(1, 2, 3, 4, 5))
    found = [(a.tier, a.reason) for a in answers if isinstance(a, Answer)]
    assert found == [("t0", None), ("t0", None), ("t1", "model_error"), ("t0", None), ("t0", None)]


def test_answers_keep_the_order_of_members() -> None:
    answers = ask(cascade(Scripted(fails_on(3)), Scripted(good)), members(5, 3, 1, 4))
    costs = [a.prediction.scores["cost"] for a in answers if isinstance(a, Answer)]
    assert costs == [5.0, 3.0, 1.0, 4.0]


def test_a_member_that_every_tier_fails_on_gets_an_error_that_says_why() -> None:
    answers = ask(cascade(Scripted(fails_on(3)), Scripted(fails_on(3))), members(1, 3))
    assert isinstance(answers[0], Answer)
    assert answers[1] == ItemError("model_error", "ValueError: cannot do 3")


def test_a_score_that_is_not_finite_fails_its_member_alone() -> None:
    top, below = Scripted(not_finite_on(2)), Scripted(good)
    answers = ask(cascade(top, below), members(1, 2, 3))
    assert [a.tier for a in answers if isinstance(a, Answer)] == ["t0", "t1", "t0"]
    assert top.sizes == [3]


def test_a_tier_that_returns_too_few_results_answers_nobody() -> None:
    answers = ask(cascade(Scripted(one_too_few)), members(1, 2))
    assert answers == [ItemError("model_error", "WrongLengthError: 0 results for 1 inputs")] * 2


def test_a_slow_tier_passes_on_its_batch_and_is_skipped_while_it_is_stuck() -> None:
    release = threading.Event()
    top = Scripted(waits_for(release))
    slow = LoadedTier("slow", top, timeout_s=0.01)
    tiers = Cascade([slow, LoadedTier("fast", Scripted(good), math.inf)])
    try:
        for _ in range(3):
            answers = ask(tiers, members(1, 2))
            found = [(a.tier, a.reason) for a in answers if isinstance(a, Answer)]
            assert found == [("fast", "timeout")] * 2
        assert top.sizes == [2]  # called once: never again while it is stuck
    finally:
        release.set()


def test_a_tier_answers_again_once_its_stuck_call_has_ended() -> None:
    release, ended = threading.Event(), threading.Event()

    def script(batch):  # type: ignore[no-untyped-def]
        release.wait()
        return good(batch)

    slow = LoadedTier("slow", Scripted(script), timeout_s=5.0)
    caller = slow.caller
    assert caller is not None
    caller.limit_s = 0.01
    assert isinstance(ask(Cascade([slow]), members(1))[0], ItemError)
    caller.limit_s = 5.0
    assert caller.last is not None
    caller.last.add_done_callback(lambda _: ended.set())
    release.set()
    assert ended.wait(5)
    assert isinstance(ask(Cascade([slow]), members(1))[0], Answer)


def test_a_timeout_of_the_last_tier_is_an_error_with_its_limit() -> None:
    release = threading.Event()
    try:
        tiers = cascade(Scripted(waits_for(release)), timeout_s=0.01)
        assert ask(tiers, members(1)) == [
            ItemError("timeout", "StopBisecting: tier t0 took longer than 0.01 s")
        ]
    finally:
        release.set()


def test_no_member_falls_below_the_lowest_tier_it_accepts() -> None:
    below = Scripted(good)
    answers = ask(cascade(Scripted(fails_on(1)), below), members(1, floor=0))
    assert answers == [
        ItemError(
            "tier_unavailable",
            "no tier from its min_tier 't0' up answered: ValueError: cannot do 1",
        )
    ]
    assert below.sizes == []


def test_a_floor_above_the_top_tier_of_this_process_is_an_error() -> None:
    answers = ask(cascade(Scripted(good)), [*members(1, floor=-1), *members(2)])
    assert answers[0] == ItemError(
        "tier_unavailable", "its min_tier is better than any this worker runs: t0"
    )
    assert isinstance(answers[1], Answer)


def test_a_tier_whose_breaker_is_open_is_passed_over_for_those_that_have_another() -> None:
    top, below = Scripted(good), Scripted(good)
    asked = [*members(1, 2), *members(3, floor=0)]
    answers, verdicts = cascade(top, below).answer(asked, {"t0"})
    found = [(a.tier, a.reason) for a in answers if isinstance(a, Answer)]
    assert found == [("t1", "breaker_open"), ("t1", "breaker_open"), ("t0", None)]
    assert top.sizes == [1]
    assert verdicts == [Verdict("t0", True), Verdict("t1", True)]


def test_the_last_tier_is_never_passed_over() -> None:
    answers = ask(cascade(Scripted(good), Scripted(good)), members(1), {"t0", "t1"})
    assert [(a.tier, a.reason) for a in answers] == [("t1", "breaker_open")]


def test_a_call_that_answers_nobody_is_told_apart_from_one_bad_member() -> None:
    _, verdicts = cascade(Scripted(fails_on(3)), Scripted(good)).answer(members(1, 3))
    assert verdicts == [Verdict("t0", True), Verdict("t1", True)]
    _, verdicts = cascade(Scripted(fails_on(3)), Scripted(good)).answer(members(3))
    assert verdicts == [Verdict("t0", False), Verdict("t1", True)]


def test_a_device_that_is_lost_stops_everything() -> None:
    def asserts(batch):  # type: ignore[no-untyped-def]
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    top, below = Scripted(asserts), Scripted(good)
    with pytest.raises(DeviceLost, match="tier t0: CUDA error: device-side assert triggered"):
        ask(cascade(top, below, timeout_s=30), members(1, 2))
    assert (top.sizes, below.sizes) == ([2], [])

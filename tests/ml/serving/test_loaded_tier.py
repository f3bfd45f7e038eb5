"""One tier: the memory it finds, the time it takes, and results that are none."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ml.pipeline import Features, Prediction
from ml.serving.isolation import Failed
from ml.serving.loaded_tier import LoadedTier
from tests.ml.toys import Length, Scripted, good, waits_for


class OutOfMemoryError(RuntimeError):
    """Named as torch's own."""


def fits(tokens: int) -> Callable[[Sequence[Features]], Sequence[Prediction]]:
    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        if len(batch) * max(member.cost for member in batch) > tokens:
            raise OutOfMemoryError("CUDA out of memory")
        return good(batch)

    return script


def costs(results: Sequence[Prediction | Failed]) -> list[float]:
    return [r.scores["cost"] for r in results if isinstance(r, Prediction)]


def test_a_batch_too_large_for_memory_is_halved_and_the_budget_that_fits_remembered() -> None:
    script = Scripted(fits(8))
    tier = LoadedTier("a", script, math.inf)
    batch = [Length(2)] * 16
    assert costs(tier.predict(batch)) == [2.0] * 16
    assert script.sizes == [16, 8, 4, 4, 8, 4, 4]
    assert tier.budget == 8
    script.sizes.clear()
    assert costs(tier.predict(batch)) == [2.0] * 16
    assert script.sizes == [4, 4, 4, 4]


def test_answers_keep_their_order_within_a_budget() -> None:
    tier = LoadedTier("a", Scripted(fits(8)), math.inf)
    assert costs(tier.predict([Length(n) for n in (1, 5, 2, 8, 3)])) == [1, 5, 2, 8, 3]
    assert costs(tier.predict([Length(n) for n in (4, 1, 7, 2, 8)])) == [4, 1, 7, 2, 8]


def test_a_single_member_too_large_for_memory_fails_and_lowers_no_budget() -> None:
    tier = LoadedTier("a", Scripted(fits(8)), math.inf)
    result = tier.predict([Length(9)])[0]
    assert isinstance(result, Failed)
    assert str(result) == "OutOfMemoryError: CUDA out of memory"
    assert tier.budget is None


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (None, "AttributeError"),
        (Prediction({"score": math.nan}), "ValueError: the model gave a score that is not finite"),
        (Prediction({"score": "high"}), "TypeError"),  # type: ignore[dict-item]
    ],
)
def test_a_result_that_is_no_prediction_fails_its_member_alone(output: Any, error: str) -> None:
    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        return [output if member.cost == 2 else p for member, p in zip(batch, good(batch))]  # noqa: B905

    results = LoadedTier("a", Scripted(script), math.inf).predict([Length(n) for n in (1, 2, 3)])
    assert costs(results) == [1, 3]
    assert str(results[1]).startswith(error)


def test_a_call_that_is_stuck_says_for_how_long() -> None:
    release, ended = threading.Event(), threading.Event()
    tier = LoadedTier("a", Scripted(waits_for(release)), timeout_s=0.01)
    try:
        assert tier.stuck_s == 0
        tier.predict([Length(1)])
        assert tier.caller is not None
        assert tier.caller.last is not None
        tier.caller.last.add_done_callback(lambda _: ended.set())
        assert tier.stuck_s > 0
    finally:
        release.set()
    assert ended.wait(5)
    assert tier.stuck_s == 0

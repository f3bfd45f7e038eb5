"""The figures of the routing benchmark, on answers made up for it."""

from __future__ import annotations

import pytest

from bench.routing import Found, score, table, verdicts
from ml.training.data.rows import Split

SPLIT = Split(["a", "b", "c", "d"], ["allow", "block", "allow", "block"], ["x", "x", "y", "y"], "")
PRICES = {"gpu": 3.6, "cpu": 0.36}


def found(mode: str, labels: list[str], tier: str, gpu: float, cpu: float) -> Found:
    outputs = [{"label": label, "tier": tier} for label in labels]
    return score(SPLIT, outputs, mode, {"gpu": gpu, "cpu": cpu}, 1.0)


RIGHT = found("quality", ["allow", "block", "allow", "block"], "transformer", 4.0, 0.0)
WORSE = found("cheap", ["allow", "block", "allow", "allow"], "cnn", 0.0, 0.4)


def test_shares_and_quality_are_of_the_answers() -> None:
    assert (RIGHT.on_cpu, RIGHT.mean_source_f1, RIGHT.macro_f1) == (0.0, 1.0, 1.0)
    assert (WORSE.on_cpu, WORSE.tiers) == (1.0, {"cnn": 4})
    assert WORSE.by_source == {"x": 1.0, "y": pytest.approx(1 / 3)}
    assert WORSE.mean_source_f1 == pytest.approx(2 / 3)


def test_cost_is_device_seconds_times_prices_per_1000_items() -> None:
    assert RIGHT.per_1000(PRICES) == pytest.approx(1.0)
    assert WORSE.per_1000(PRICES) == pytest.approx(0.01)


def test_others_are_compared_with_the_first() -> None:
    (said,) = verdicts([RIGHT, WORSE], PRICES)
    assert said.startswith("cheap: 100.0% on the CPU, +33.33 points of macro-F1 lost")
    assert said.endswith("99.0% cheaper than quality")
    assert len(table([RIGHT, WORSE], PRICES).splitlines()) == 3

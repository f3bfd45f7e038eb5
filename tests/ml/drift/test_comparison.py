"""What a comparison says: tests, effect, verdicts and words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml.drift.comparison import BINS, DRIFT, NOT_ENOUGH, OK, Finding, Report, compare
from ml.drift.reference import LONGEST_CLASS, Answers, Reference, Row, row

SIZE = 1_000


def rows(
    seed: int, size: int = SIZE, longer: float = 1.0, block: float = 0.1, tier: str = "cnn"
) -> list[Row]:
    """Random items: log-normal lengths, many without capitals, confidence, class."""
    generator = np.random.default_rng(seed)
    lengths = generator.lognormal(4.4, 0.6, size) * longer
    capitals = np.maximum(0, generator.normal(0.01, 0.05, size))
    sure = generator.beta(5, 2, size)
    classes = generator.choice(["allow", "review", "block"], size, p=[0.9 - block, 0.1, block])
    return [
        row(
            {"length": round(length), "capitals": share},
            {"confidence": confidence, "label": str(label), "tier": tier},
        )
        for length, share, confidence, label in zip(lengths, capitals, sure, classes, strict=True)
    ]


REFERENCE = Reference.of(rows(0, 2_000))


def of(report: Report, name: str) -> Finding:
    (found,) = (one for one in report.features if one.name == name)
    return found


def test_what_is_as_before_is_no_drift() -> None:
    report = compare(REFERENCE, rows(1))
    assert report.verdict == OK
    assert [found.name for found in report.features] == [
        "length",
        "capitals",
        "confidence",
        "class",
    ]
    assert {found.verdict for found in report.features} == {OK}
    assert report.text.startswith("No drift: 1,000 answers")


def test_one_feature_that_has_drifted_is_named_and_said_in_words() -> None:
    report = compare(REFERENCE, rows(1, longer=2))
    assert report.verdict == DRIFT
    assert [found.name for found in report.drifted] == ["length"]
    assert "for: length." in report.text
    found = of(report, "length")
    before, now = (
        np.median([one["length"] for one in of]) for of in (rows(0, 2_000), rows(1, longer=2))
    )
    assert found.text == (
        f"Texts are longer: median {before:.0f} -> {now:.0f} characters. "
        "This is not chance, and large enough to matter."
    )
    assert found.statistic == found.effect
    assert found.effect is not None
    assert 0.3 < found.effect < 0.6
    assert found.psi is not None
    assert found.psi > 0.25


def test_the_figures_are_those_of_scipy() -> None:
    production = rows(1, longer=1.1)
    report = compare(REFERENCE, production)
    lengths = [one["length"] for one in production]
    expected = stats.ks_2samp(REFERENCE.features["length"], lengths, method="asymp")
    found = of(report, "length")
    assert (found.statistic, found.p) == (expected.statistic, expected.pvalue)
    ps = [one.p for one in report.features if one.p is not None]
    assert [one.q for one in report.features] == stats.false_discovery_control(ps).tolist()


def test_classes_whose_shares_change_are_drift_by_chi_square_and_cohens_w() -> None:
    production = rows(1, block=0.25)
    report = compare(REFERENCE, production)
    assert [found.name for found in report.drifted] == ["class"]
    found = of(report, "class")
    before, now = (
        {name: [one["class"] for one in of].count(name) for name in ("allow", "review", "block")}
        for of in (rows(0, 2_000), production)
    )
    table = [list(before.values()), list(now.values())]
    expected = stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    shares = [(before[name] / 2_000, now[name] / SIZE) for name in before]
    assert found.effect == pytest.approx(math.sqrt(sum((q - p) ** 2 / p for p, q in shares)))
    assert "There are more answers 'block': " in found.text
    assert found.histogram is not None
    assert list(found.histogram.bins) == ["allow", "review", "block"]


def test_a_difference_that_is_sure_but_small_is_no_drift_and_says_so() -> None:
    reference = Reference.of(rows(0, 20_000))
    report = compare(reference, rows(1, 20_000, longer=1.06))
    found = of(report, "length")
    assert found.q is not None
    assert found.q < 0.01
    assert found.verdict == OK
    assert found.text.startswith("No drift: a difference, but too small to matter (0.0")


def test_a_difference_that_is_large_but_may_be_chance_is_no_drift_and_says_so() -> None:
    seen = []
    for seed in range(1, 20):
        report = compare(REFERENCE, rows(seed, 50), min_samples=50)
        seen += [one for one in report.features if (one.effect or 0) >= 0.1 and one.verdict == OK]
    assert seen
    assert all("so few samples may differ by chance" in found.text for found in seen)


def test_with_too_few_samples_nothing_is_judged() -> None:
    report = compare(REFERENCE, rows(1, 499, longer=5))
    assert report.verdict == NOT_ENOUGH
    assert {found.verdict for found in report.features} == {NOT_ENOUGH}
    assert {found.p for found in report.features} == {None}
    assert "499 answers were sampled, at least 500 are needed" in report.text
    assert compare(REFERENCE, rows(1, 500, longer=5)).verdict == DRIFT


def test_an_empty_sample_is_not_enough() -> None:
    report = compare(REFERENCE, [])
    assert (report.verdict, report.samples, report.tier) == (NOT_ENOUGH, 0, None)


def test_confidence_and_class_are_compared_within_the_usual_tier_only() -> None:
    reference = Reference(
        REFERENCE.features, {**REFERENCE.answers, "rules": Answers([0.5], {"a": 1})}
    )
    production = [*rows(1, 900), *rows(2, 400, block=0.8, tier="rules")]
    report = compare(reference, production)
    assert report.tier == "cnn"
    assert report.verdict == OK
    samples = {found.name: found.samples for found in report.features}
    assert samples == {"length": 1_300, "capitals": 1_300, "confidence": 900, "class": 900}


def test_a_tier_that_the_reference_does_not_know_leaves_the_inputs_to_be_compared() -> None:
    report = compare(REFERENCE, rows(1, tier="another"))
    assert [found.name for found in report.features] == ["length", "capitals"]
    assert report.verdict == OK


def test_a_class_that_is_new_in_production_counts() -> None:
    production = [
        dict(one) | {"class": "odd"} if n % 10 == 0 else one for n, one in enumerate(rows(1))
    ]
    report = compare(REFERENCE, production)
    assert [found.name for found in report.drifted] == ["class"]
    assert "'odd': 0.0% -> 10.0%" in of(report, "class").text


def test_figures_that_are_all_equal_are_compared_too() -> None:
    reference = Reference({"zero": [0.0] * 2_000}, {})
    same: list[Row] = [{"zero": 0.0, "tier": "t"}] * SIZE
    other: list[Row] = [*same[:800], *([{"zero": 1.0, "tier": "t"}] * 200)]
    assert compare(reference, same).verdict == OK
    report = compare(reference, other)
    assert report.verdict == DRIFT
    assert of(report, "zero").effect == pytest.approx(0.2)
    assert "Zero is higher: mean 0 -> 0.2" in of(report, "zero").text
    assert (of(report, "zero").psi or 0) > 0.25


def test_a_reference_is_read_as_it_was_written_and_has_no_text(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("drift") / "drift.json"
    path.write_text(REFERENCE.dump())
    assert Reference.read(path) == REFERENCE
    assert Reference.read(path).rows == 2_000


def test_a_row_keeps_figures_and_a_word_of_the_answer_and_nothing_else() -> None:
    output = {"label": "x" * 500, "confidence": 0.123456, "tier": "cnn", "echo": "the text"}
    assert row({"length": 3}, output) == {
        "length": 3.0,
        "confidence": 0.1235,
        "class": "x" * LONGEST_CLASS,
        "tier": "cnn",
    }
    assert "confidence" not in row({}, output, comparable=False)
    assert row({}, {"tier": "cnn"}) == {"tier": "cnn"}


figures = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=60, max_size=200)
words = st.lists(st.sampled_from("abcdef"), min_size=60, max_size=60)


@settings(max_examples=50, deadline=None)
@given(figures, figures, words, words)
def test_any_figures_make_a_report_that_json_can_carry(
    before: Sequence[float], now: Sequence[float], classes: Sequence[str], others: Sequence[str]
) -> None:
    counts = {name: classes.count(name) for name in set(classes)}
    reference = Reference({"x": before}, {"t": Answers(before, counts)})
    production: list[Row] = [
        {"x": value, "confidence": value, "class": other, "tier": "t"}
        for value, other in zip(now, cycle(others), strict=False)
    ]
    report = compare(reference, production, min_samples=50)
    json.dumps(report.as_json(), allow_nan=False)
    assert len(report.features) == 3
    for found in report.features:
        assert found.effect is not None
        assert found.p is not None
        assert found.q is not None
        assert 0 <= found.p <= found.q <= 1
        assert found.text
        assert found.histogram is not None
        shares = (found.histogram.reference, found.histogram.production)
        assert all(sum(of) == pytest.approx(1, abs=1e-3) for of in shares)
        if found.name != "class":
            assert found.effect <= 1
            assert len(found.histogram.bins) == BINS + 1 == len(shares[0]) + 1


def test_false_alarms_are_rare_and_shifts_are_found() -> None:
    """A small version of `make bench-drift`, with seeds."""
    alarms = sum(compare(REFERENCE, rows(seed, 500)).verdict == DRIFT for seed in range(1, 101))
    assert alarms <= 2
    found = sum(compare(REFERENCE, rows(s, longer=2)).verdict == DRIFT for s in range(1, 21))
    assert found == 20
    found = sum(compare(REFERENCE, rows(s, block=0.2)).verdict == DRIFT for s in range(1, 21))
    assert found >= 19

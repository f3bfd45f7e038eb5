"""Fitting the rules tier."""

from __future__ import annotations

import numpy as np

from ml.training.fitting.terms import Labelled, TermSpec, fit_rules

TEXTS = ["good day", "good food", "bad day", "bad food"] * 5
ROWS = Labelled(TEXTS, [0, 0, 1, 1] * 5, np.ones(20, dtype=np.float32))


def test_terms_that_tell_classes_apart_weigh_most_and_neutral_ones_little() -> None:
    rules = fit_rules(ROWS, ROWS, ["ok", "no"], TermSpec(most=50, seen=2, prior=5))
    weights = rules.weights
    assert weights["good"][0] > 1 > abs(weights["day"][0])
    assert weights["bad"][1] > 1 > abs(weights["food"][1])
    assert rules.scores(["good", "day"])["ok"] > 0.5 > rules.scores(["bad", "day"])["ok"]


def test_only_the_most_telling_terms_that_are_frequent_enough_are_kept() -> None:
    few = fit_rules(ROWS, ROWS, ["ok", "no"], TermSpec(most=2, seen=2, prior=5))
    assert set(few.weights) == {"good", "bad"}
    rare = fit_rules(ROWS, ROWS, ["ok", "no"], TermSpec(most=50, seen=6, prior=5))
    assert set(rare.weights) == {"good", "bad", "day", "food"}

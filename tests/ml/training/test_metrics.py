"""Figures of quality, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ml.training.metrics import actions, auc, calibration_error, macro_f1, report


def test_macro_f1_is_the_mean_over_the_classes_that_occur() -> None:
    truth, guess = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert macro_f1(truth, guess) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_a_guessed_class_that_never_occurs_costs_recall_but_is_no_class_of_its_own() -> None:
    assert macro_f1(np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2])) == pytest.approx(
        (2 / 3 + 1) / 2
    )


def test_auc_counts_ties_half() -> None:
    truth = np.array([True, True, False, False])
    assert auc(truth, np.array([0.9, 0.5, 0.5, 0.1])) == pytest.approx(3.5 / 4)
    assert auc(truth, np.array([0.1, 0.2, 0.8, 0.9])) == 0


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    scores = np.array([[0.8, 0.2]] * 10)
    assert calibration_error(np.array([0] * 8 + [1] * 2), scores) == pytest.approx(0)
    assert calibration_error(np.array([0] * 5 + [1] * 5), scores) == pytest.approx(0.3)


def test_the_report_averages_over_sources_not_rows() -> None:
    truth = np.array([0, 1, 0, 1, 0, 1])
    scores = np.eye(2)[[0, 1, 1, 0, 0, 1]]
    found = report(truth, scores, ["a", "a", "b", "b", "a", "a"], ["ok", "no"])
    assert found["by_source"] == {"a": 1.0, "b": 0.0}
    assert found["mean_source_f1"] == 0.5
    assert found["accuracy"] == pytest.approx(4 / 6, abs=1e-4)


def test_actions_are_measured_as_this_or_worse_at_their_thresholds() -> None:
    scores = np.array([[0.1, 0.1, 0.8], [0.4, 0.3, 0.3], [0.45, 0.3, 0.25], [0.9, 0.1, 0.0]])
    found = actions(np.array([2, 1, 0, 1]), scores, ["a", "r", "b"], {"r": 0.5, "b": 0.8})
    assert found["r"] == {"precision": pytest.approx(2 / 3, abs=1e-4), "recall": 0.6667}
    assert found["b"] == {"precision": 1.0, "recall": 1.0}

"""Temperature and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.moderation.models.tensors import calibrated
from ml.training.fitting.confidence import calibration, temperature, thresholds
from ml.training.metrics import calibration_error


def test_the_temperature_of_logits_that_are_twice_too_large_is_two() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20_000, 3, generator=generator)
    labels = torch.multinomial(torch.softmax(honest, 1), 1, generator=generator).squeeze(1)
    assert temperature(2 * honest, labels) == pytest.approx(2, rel=0.05)


def test_calibration_mends_doubt_and_sureness_at_once_and_keeps_the_order() -> None:
    generator = torch.Generator().manual_seed(0)
    raw = 2 * torch.randn(20_000, 3, generator=generator)
    honest = calibrated(raw, 0.4, 0.2)
    labels = torch.multinomial(torch.softmax(honest, 1), 1, generator=generator).squeeze(1)
    base, slope = calibration(raw, labels)
    assert base == pytest.approx(0.4, abs=0.05)
    assert slope == pytest.approx(0.2, abs=0.03)
    mended = torch.softmax(calibrated(raw, base, slope), 1).double().numpy()
    flat = torch.softmax(raw / temperature(raw, labels), 1).double().numpy()
    truth = labels.numpy()
    assert calibration_error(truth, mended) < 0.01 < calibration_error(truth, flat)
    assert bool((mended.argmax(1) == raw.argmax(1).numpy()).all())


def test_a_threshold_is_the_lowest_whose_precision_is_as_asked() -> None:
    scores = np.array([[1 - p, p] for p in (0.9, 0.8, 0.7, 0.6)])
    truth = np.array([1, 1, 0, 1])
    assert thresholds(truth, scores, ["ok", "no"], {"no": 0.7}) == {"no": 0.6}
    assert thresholds(truth, scores, ["ok", "no"], {"no": 0.9}) == {"no": 0.8}


def test_an_action_that_cannot_be_precise_enough_is_never_taken() -> None:
    scores, truth = np.array([[0.1, 0.9]] * 2), np.array([0, 1])
    assert thresholds(truth, scores, ["ok", "no"], {"no": 0.9}) == {"no": 1.0}


def test_worse_classes_count_towards_the_threshold_of_a_milder_one() -> None:
    scores = np.array([[0.3, 0.1, 0.6], [0.6, 0.3, 0.1]])
    found = thresholds(np.array([2, 0]), scores, ["a", "r", "b"], {"r": 1.0, "b": 1.0})
    assert found == {"r": 0.7, "b": 0.6}

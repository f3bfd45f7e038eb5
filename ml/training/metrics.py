"""Quality metrics: macro-F1 pooled and per source, AUC and calibration error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def macro_f1(truth: Ints, guess: Ints) -> float:
    """Mean F1 over the classes that occur in `truth`."""
    return float(np.mean([_f1(truth == c, guess == c) for c in np.unique(truth)]))


def _f1(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    total = int(truth.sum() + guess.sum())
    return 2 * int((truth & guess).sum()) / total if total else 0.0


def auc(truth: NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney U), ties counted half."""
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return float("nan")
    _, inverse, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[inverse]  # (N,) average ranks from 1
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def calibration_error(truth: Ints, scores: Floats, bins: int = 15) -> float:
    """Expected calibration error of the top label (Guo et al. 2017), equal-width bins."""
    confidence, hit = scores.max(1), scores.argmax(1) == truth
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(hit[index == b].sum()) - float(confidence[index == b].sum())) for b in range(bins)
    ]
    return sum(gaps) / len(truth)


def report(
    truth: Ints, scores: Floats, sources: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
    """Every published metric of scores (N, C), rounded to four digits.

    `allow_f1` is the macro-F1 of the first class against the rest.
    """
    guess, source = scores.argmax(1), np.array(sources)
    by_source = {s: macro_f1(truth[source == s], guess[source == s]) for s in sorted(set(sources))}
    figures: dict[str, Any] = {
        "rows": len(truth),
        "accuracy": float((guess == truth).mean()),
        "macro_f1": macro_f1(truth, guess),
        "by_source": by_source,
        "mean_source_f1": float(np.mean(list(by_source.values()))),
        "allow_f1": macro_f1((truth > 0).astype(np.int64), (guess > 0).astype(np.int64)),
        "auc": {name: auc(truth == c, scores[:, c]) for c, name in enumerate(classes)},
        "ece": calibration_error(truth, scores),
    }
    return {key: _rounded(value) for key, value in figures.items()}


def actions(
    truth: Ints, scores: Floats, classes: Sequence[str], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Per class but the first, precision and recall of taking its action or a worse one."""
    taken = np.zeros(len(truth), dtype=np.int64)
    for c, name in list(enumerate(classes))[1:]:
        taken[scores[:, c:].sum(1) >= thresholds[name]] = c
    found = {}
    for c, name in list(enumerate(classes))[1:]:
        right = int(((taken >= c) & (truth >= c)).sum())
        found[name] = {
            "precision": right / max(1, int((taken >= c).sum())),
            "recall": right / max(1, int((truth >= c).sum())),
        }
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value

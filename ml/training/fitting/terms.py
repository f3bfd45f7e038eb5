"""Fits the rules tier: which terms indicate a class, and with which weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's usual name)
from numpy.typing import NDArray
from torch import Tensor

from ml.moderation.models.rules import Rules, fold, terms
from ml.training.fitting.confidence import minimise, temperature
from ml.training.metrics import Floats


@dataclass(frozen=True, slots=True)
class TermSpec:
    """most: terms kept. seen: rows a term must occur in. prior: pseudo-count of the background."""

    most: int = 6_000
    seen: int = 4
    prior: float = 500.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts (normalised) with class indices and a weight each."""

    texts: Sequence[str]
    labels: Sequence[int]
    weights: NDArray[np.float32]

    def terms(self) -> list[set[str]]:
        return [set(terms(fold(text))) for text in self.texts]


def fit_rules(train: Labelled, dev: Labelled, classes: Sequence[str], spec: TermSpec) -> Rules:
    """Terms and weights from `train`; scale and biases (one number a class) from `dev`.

    Biases are fitted with the rows' weights, so that rare classes are found, then scale and biases
    are fitted again together without them, so that the confidence is calibrated.
    """
    weights = _log_odds(train, len(classes), spec)
    bare = Rules(tuple(classes), weights, (0.0,) * len(classes), 1.0)
    sums = torch.tensor([bare.logits(fold(text)) for text in dev.texts])  # (N, C)
    labels = torch.tensor(dev.labels)
    scale, bias = _calibrate(sums, labels, torch.from_numpy(dev.weights))
    soft = temperature(scale * sums + torch.tensor(bias), labels)
    return Rules(
        tuple(classes), weights, tuple(round(b / soft, 4) for b in bias), round(scale / soft, 4)
    )


def as_json(rules: Rules) -> dict[str, Any]:
    """Convert the rules to the JSON object that a version stores; terms in sorted order."""
    return {
        "classes": list(rules.classes),
        "bias": list(rules.bias),
        "scale": rules.scale,
        "terms": {term: list(weights) for term, weights in sorted(rules.weights.items())},
    }


def _log_odds(train: Labelled, classes: int, spec: TermSpec) -> dict[str, list[float]]:
    """Log-odds ratios with an informative Dirichlet prior (Monroe, Colaresi, Quinn 2008, eq. 16),
    kept where their z-score (eq. 22) is largest."""
    rows = train.terms()
    seen = Counter(term for row in rows for term in row)
    frequent = (term for term, count in sorted(seen.items()) if count >= spec.seen)
    vocabulary = {term: n for n, term in enumerate(frequent)}
    counts = np.zeros((len(vocabulary), classes))  # (V, C)
    for row, label, weight in zip(rows, train.labels, train.weights, strict=True):
        counts[[vocabulary[t] for t in row if t in vocabulary], label] += weight
    ratios, z = _ratios(counts, spec.prior)
    best = np.argsort(-np.abs(z).max(1), kind="stable")[: spec.most]
    names = list(vocabulary)
    return {names[n]: [round(float(w), 3) for w in ratios[n]] for n in best}


def _ratios(counts: Floats, prior: float) -> tuple[Floats, Floats]:
    background = prior * counts.sum(1, keepdims=True) / counts.sum()  # (V, 1)
    total = counts.sum(0, keepdims=True)  # (1, C)
    inside, outside = counts + background, counts.sum(1, keepdims=True) - counts + background
    odds_in = inside / (total + prior - inside)
    odds_out = outside / (total.sum() - total + prior - outside)
    ratios = np.log(odds_in) - np.log(odds_out)
    return ratios, ratios / np.sqrt(1 / inside + 1 / outside)


def _calibrate(sums: Tensor, labels: Tensor, weights: Tensor) -> tuple[float, list[float]]:
    """Scale and biases that minimise the weighted log loss."""
    scale = torch.tensor(0.3, requires_grad=True)
    bias = torch.zeros(sums.shape[1], requires_grad=True)

    def loss() -> Tensor:
        losses = F.cross_entropy(scale * sums + bias, labels, reduction="none")
        return (losses * weights).mean()

    minimise([scale, bias], loss)
    return float(scale.detach()), bias.tolist()

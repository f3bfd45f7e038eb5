"""Fits complexity on the training split: predicts where cnn and transformer disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack

from ml.moderation.router import FIGURES, figures, words
from ml.training.metrics import Floats


@dataclass(frozen=True)
class Spec:
    """seen: training texts a term must be in. ridge: strength of the L2 penalty."""

    seen: int = 20
    ridge: float = 20.0


def fit(texts: Sequence[str], differs: NDArray[np.bool_], spec: Spec) -> dict[str, Any]:
    """The coefficients of complexity as `routing.json` holds them.

    texts: cleaned. differs: (N,), whether the cnn's label of each is not the transformer's.
    """
    sets = [words(text) for text in texts]
    counts = Counter(word for one in sets for word in one)
    terms = sorted(word for word, count in counts.items() if count >= spec.seen)
    plain = csr_matrix(np.array([figures(text) for text in texts]))
    found = _regression(hstack([plain, _found(sets, terms)]).tocsr(), differs, spec.ridge)
    weights, width = [round(float(weight), 3) for weight in found], len(FIGURES)
    named = zip(terms, weights[width:-1], strict=True)
    return {
        "bias": weights[-1],
        "figures": dict(zip(FIGURES, weights[:width], strict=True)),
        "terms": {term: weight for term, weight in named if weight},
    }


def _found(sets: Sequence[set[str]], terms: Sequence[str]) -> Any:
    """Sparse matrix (N, terms), 1 where a text has the term."""
    column = {term: n for n, term in enumerate(terms)}
    pairs = [(n, column[w]) for n, one in enumerate(sets) for w in sorted(one) if w in column]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    return csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(sets), len(terms)))


def _regression(x: Any, y: NDArray[np.bool_], ridge: float) -> Floats:
    """Weights and, last, the bias of a logistic regression whose bias is not penalised."""
    target = y.astype(np.float64)

    def loss(w: Floats) -> tuple[float, Floats]:
        z = x @ w[:-1] + w[-1]
        error = 1 / (1 + np.exp(-z)) - target
        value = (np.logaddexp(0, z) - target * z).sum() + 0.5 * ridge * (w[:-1] ** 2).sum()
        return float(value), np.append(x.T @ error + ridge * w[:-1], error.sum())

    options = {"maxiter": 1_000}
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options=options)
    weights: Floats = found.x
    return weights

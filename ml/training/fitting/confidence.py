"""Fits confidence calibration and the thresholds of actions, both on dev."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's usual name)
from numpy.typing import NDArray
from torch import Tensor

from ml.moderation.models.tensors import calibrated
from ml.training.metrics import Floats, Ints


def temperature(logits: Tensor, labels: Tensor) -> float:
    """The softmax divisor with the least log loss (Guo et al. 2017), for logits (N, C)."""
    log_t = torch.zeros(1, requires_grad=True)
    minimise([log_t], lambda: F.cross_entropy(logits / log_t.exp(), labels))
    return round(float(log_t.detach().exp()), 4)


def calibration(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Base and slope of `ml.moderation.models.tensors.calibrated` with the least log loss."""
    base, slope = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    minimise([base, slope], lambda: F.cross_entropy(calibrated(logits, base, slope), labels))
    return round(float(base.detach()), 4), round(float(slope.detach()), 4)


def minimise(parameters: list[Tensor], measure: Callable[[], Tensor]) -> None:
    """Fits `parameters` in place so that `measure` is least."""
    optimizer = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = measure()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    optimizer.step(loss)  # type: ignore[no-untyped-call]


def thresholds(
    truth: Ints, scores: Floats, classes: Sequence[str], precision: Mapping[str, float]
) -> dict[str, float]:
    """For each class but the first, the least probability of "this or worse" (scores (N, C))
    from which on its precision is as asked; 1.0 if none is, so that its action is never taken."""
    found = {}
    for c, name in list(enumerate(classes))[1:]:
        found[name] = _threshold(truth >= c, scores[:, c:].sum(1), precision[name])
    return found


def _threshold(truth: NDArray[np.bool_], score: Floats, precision: float) -> float:
    order = np.argsort(-score, kind="stable")
    reached = np.cumsum(truth[order]) / np.arange(1, len(order) + 1) >= precision
    if not reached.any():
        return 1.0
    return round(float(score[order[np.flatnonzero(reached)[-1]]]), 4)

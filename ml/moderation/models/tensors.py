"""Converts token ids to padded tensors, and logits to calibrated predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ml.moderation.tokenizer import PAD
from ml.pipeline import Prediction


def pad(ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids padded to the longest, (B, T) int64, and their mask, (B, T) bool."""
    longest = max(map(len, ids))
    padded = torch.tensor([row + [PAD] * (longest - len(row)) for row in ids])
    lengths = torch.tensor([len(row) for row in ids])
    return padded, torch.arange(longest)[None, :] < lengths[:, None]


def calibrated(logits: Tensor, base: Tensor | float, slope: Tensor | float) -> Tensor:
    """Logits (B, C) times `base + slope * margin`, the margin between the two best (B, 1).

    A temperature that depends on the margin: one temperature for all cannot correct a model that is
    overconfident at small margins and underconfident at large ones. The order of classes stays.
    """
    best = logits.topk(2, -1).values  # (B, 2)
    margin = best[:, :1] - best[:, 1:]
    factor: Tensor = (base + slope * margin).clamp_min(0.05)
    return logits * factor


def predictions(
    logits: Tensor, calibration: tuple[float, float], classes: Sequence[str]
) -> list[Prediction]:
    """Logits (B, C) as one calibrated probability per class, in order of `classes`."""
    rows = torch.softmax(calibrated(logits.float(), *calibration), -1).tolist()
    return [Prediction(dict(zip(classes, row, strict=True))) for row in rows]

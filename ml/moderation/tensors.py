"""Between lists of token ids, tensors and predictions."""

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


def predictions(logits: Tensor, classes: Sequence[str]) -> list[Prediction]:
    """Logits (B, C) as one probability per class, in order of `classes`."""
    rows = torch.softmax(logits.float(), -1).tolist()
    return [Prediction(dict(zip(classes, row, strict=True))) for row in rows]

"""Weights stored as int8: one scale per row, symmetric, four times smaller than float32.

Rows are rounded to the nearest of 255 levels, so an entry is off by at most 1/254 of the largest
in its row. Vectors (biases, norms) stay float32: they are small and sensitive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

SCALE: Final = ".scale"


def compress(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of two or more dimensions as int8 beside `<name>.scale` (rows,) float32."""
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2:
            packed[name] = tensor.float().contiguous()
            continue
        scale = (tensor.float().flatten(1).abs().amax(1) / 127).clamp_min(1e-12)
        packed[name] = torch.round(tensor.float() / _columns(scale, tensor)).to(torch.int8)
        packed[name + SCALE] = scale
    return packed


def restore(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The float32 tensors that `compress` stored."""
    return {
        name: tensor.float() * _columns(packed[name + SCALE], tensor)
        if tensor.dtype == torch.int8
        else tensor
        for name, tensor in packed.items()
        if not name.endswith(SCALE)
    }


def _columns(scale: Tensor, like: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (like.ndim - 1))

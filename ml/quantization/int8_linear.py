"""Linear layers that multiply in int8 on a CPU; activations are quantized at each call.

The activations of a call share one scale, so a text's scores differ a little with its batch.

A CPU without VNNI instructions adds products of 8 bits in 16, which overflow silently: layers there
were off by 14 %. It gets weights of 7 bits, with which no pair of products can overflow.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from ml.quantization.weights import SCALE, restore


class Int8Linear(nn.Module):
    """A Linear with int8 weights (out, in) and scales (out,) from `ml.quantization.weights`."""

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        if _overflows():
            weight, scale = torch.round(weight / 2).to(torch.int8), scale * 2
        zero = torch.zeros(len(scale), dtype=torch.long)
        with warnings.catch_warnings():
            # Quantized tensors are deprecated, but torch is pinned, and `onednn.qlinear_pointwise`
            # on plain ones took 171 us where this takes 95 (25 tokens, 384 -> 1536, one core).
            warnings.simplefilter("ignore", UserWarning)
            rows = torch._make_per_channel_quantized_tensor(weight, scale.double(), zero, 0)
            self._packed = torch.ops.quantized.linear_prepack(rows, bias)

    def forward(self, x: Tensor) -> Tensor:
        return _product(x, self._packed)


def _product(x: Tensor, packed: object) -> Tensor:
    product: Tensor = torch.ops.quantized.linear_dynamic(x, packed)
    return product


@cache
def _overflows() -> bool:
    """Whether this CPU's int8 kernel overflows, found by asking it for the largest product."""
    largest = torch.full((1, 64), 127, dtype=torch.int8)
    zero, ones = torch.zeros(1, dtype=torch.long), torch.ones(1, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rows = torch._make_per_channel_quantized_tensor(largest, torch.ones(1).double(), zero, 0)
        packed = torch.ops.quantized.linear_prepack(rows, None)
    right = 127.0 * 64
    return abs(float(_product(ones, packed)) - right) > 0.01 * right


def load_int8(model: nn.Module, packed: Mapping[str, Tensor], keep: tuple[str, ...] = ()) -> None:
    """Loads `packed` into `model`, its Linear layers replaced in place, save those in `keep`."""
    model.load_state_dict(restore(packed))
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name not in keep:
            weight = packed[f"{name}.weight"]
            layer = Int8Linear(weight, packed[f"{name}.weight{SCALE}"], packed.get(f"{name}.bias"))
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)

"""Snapshot of a training run on disk, from which a stopped run resumes. No pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(slots=True)
class Snapshot:
    """Reads and writes model, AdamW moments, step and random state as one safetensors file."""

    path: Path

    def save(self, model: nn.Module, optimizer: torch.optim.AdamW, step: int) -> None:
        tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            state = optimizer.state[parameter]
            tensors |= {f"{moment}.{name}": state[moment] for moment in _MOMENTS}
        tensors["step"], tensors["random"] = torch.tensor(step), torch.get_rng_state()
        partial = self.path.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial)
        partial.replace(self.path)

    def restore(self, model: nn.Module, optimizer: torch.optim.AdamW) -> int:
        """Restore the state; returns the step to resume from, 0 if there is no snapshot."""
        if not self.path.exists():
            return 0
        tensors = load_file(self.path)
        step = int(tensors["step"])
        model.load_state_dict(_under(tensors, "model."))
        moments = {moment: _under(tensors, f"{moment}.") for moment in _MOMENTS}
        for name, parameter in model.named_parameters():
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{moment: tensor[name] for moment, tensor in moments.items()},
            }
        torch.set_rng_state(tensors["random"])
        return step


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

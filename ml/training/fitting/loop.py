"""Training loop of encoder and CNN, from labels and, for distillation, a teacher's logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's usual name)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from ml.moderation.models.tensors import pad
from ml.training.data.batches import by_length, shuffled
from ml.training.fitting.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a model is fitted; `rate` is AdamW's at the head, after warm-up.

    layer_decay: how much slower each layer below the head learns. warm_up: share of the steps.
    bf16: bfloat16 autocast. hide: share of tokens replaced by [UNK]. distil: weight of the
    teacher relative to the labels, 0..1; softness: temperature of both in that loss.
    """

    epochs: int
    batch: int = 48
    max_tokens: int = 96
    rate: float = 1.5e-4
    layer_decay: float = 1.0
    warm_up: float = 0.06
    smoothing: float = 0.05
    weight_decay: float = 0.01
    bf16: bool = False
    hide: float = 0.0
    distil: float = 0.0
    softness: float = 1.0
    snapshot_steps: int = 300


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokenised rows: ids, class indices, loss weights, and the teacher's logits (N, C)."""

    ids: list[list[int]]
    labels: list[int]
    weights: NDArray[np.float32]
    teacher: Tensor | None = None
    unknown: int = 1  # id of [UNK]


class Fit:
    """A model being trained by a schedule."""

    def __init__(self, model: nn.Module, rows: Rows, schedule: Schedule, seed: int) -> None:
        self.model, self.rows, self.schedule, self.seed = model, rows, schedule, seed
        self.device = next(model.parameters()).device
        self.optimizer = _optimizer(model, schedule)
        self.lengths = [min(len(row), schedule.max_tokens) for row in rows.ids]

    def run(self, path: Path, name: str) -> None:
        """Fit the model in place, resuming from the snapshot at `path` if there is one."""
        torch.manual_seed(self.seed)
        snapshot = Snapshot(path)
        start = snapshot.restore(self.model, self.optimizer)
        per_epoch = -(-len(self.lengths) // self.schedule.batch)
        total = per_epoch * self.schedule.epochs
        self.model.train()
        bar = tqdm(total=total, initial=start, desc=name, mininterval=5)
        batches: list[NDArray[np.int64]] = []
        for step in range(start, total):
            epoch, index = divmod(step, per_epoch)
            if index == 0 or not batches:
                batches = shuffled(self.lengths, self.schedule.batch, self.seed * 1_000 + epoch)
            loss = self.step(batches[index], step / total)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            if (step + 1) % self.schedule.snapshot_steps == 0 or step + 1 == total:
                snapshot.save(self.model, self.optimizer, step + 1)
        bar.close()

    def step(self, batch: NDArray[np.int64], done: float) -> float:
        """One step of AdamW on the rows `batch`, `done` (0..1) of the way; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * _ramp(done, self.schedule.warm_up)
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def loss(self, batch: NDArray[np.int64]) -> Tensor:
        ids, mask = pad([self.rows.ids[n][: self.schedule.max_tokens] for n in batch])
        if self.schedule.hide:
            ids[(torch.rand(ids.shape) < self.schedule.hide) & mask] = self.rows.unknown
        kind = self.device.type
        # On a CPU the backward pass of fused attention is slower than the plain one at these
        # lengths, by a quarter of the whole step.
        with (
            torch.autocast(kind, torch.bfloat16, enabled=self.schedule.bf16),
            sdpa_kernel(SDPBackend.MATH),
        ):
            logits = self.model(ids.to(self.device), mask.to(self.device)).float()  # (B, C)
        losses = self._labelled(logits, batch)
        if self.rows.teacher is not None and self.schedule.distil:
            taught = self._taught(logits, self.rows.teacher[torch.from_numpy(batch)])
            losses = (1 - self.schedule.distil) * losses + self.schedule.distil * taught
        return (losses * torch.from_numpy(self.rows.weights[batch]).to(self.device)).mean()

    def _labelled(self, logits: Tensor, batch: NDArray[np.int64]) -> Tensor:
        labels = torch.tensor([self.rows.labels[n] for n in batch], device=self.device)
        return F.cross_entropy(
            logits, labels, reduction="none", label_smoothing=self.schedule.smoothing
        )

    def _taught(self, logits: Tensor, teacher: Tensor) -> Tensor:
        """Cross-entropy to the teacher's softened probabilities (Hinton et al. 2015), (B,)."""
        soft = self.schedule.softness
        target = torch.softmax(teacher.to(self.device) / soft, 1)
        return -(target * torch.log_softmax(logits / soft, 1)).sum(1) * soft**2


def _ramp(done: float, warm_up: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    return done / warm_up if done < warm_up else (1 - done) / (1 - warm_up)


def _optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    names = [name for name, _ in model.named_parameters()]
    depth = 1 + max((int(n.split(".")[1]) for n in names if n.startswith("layers.")), default=-1)
    groups = []
    for name, parameter in model.named_parameters():
        layer = int(name.split(".")[1]) if name.startswith("layers.") else -1
        height = depth if name.startswith("head.") else layer
        peak = schedule.rate * schedule.layer_decay ** (depth - height)
        decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "peak": peak, "lr": 0.0, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


@torch.no_grad()
def logits(
    model: nn.Module, ids: Sequence[list[int]], batch: int = 64, *, bf16: bool = False
) -> Tensor:
    """The model's raw scores for tokenised rows, (N, C) float32, in their order."""
    model.eval()
    device = next(model.parameters()).device
    parts, order = [], by_length([len(row) for row in ids], batch)
    for numbers in tqdm(order, desc="scoring", mininterval=5, leave=False):
        padded, mask = pad([ids[n] for n in numbers])
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            parts.append(model(padded.to(device), mask.to(device)).float().cpu())
    scores = torch.empty(len(ids), parts[0].shape[1])
    scores[torch.from_numpy(np.concatenate(order))] = torch.cat(parts)
    return scores

"""A user's own torch.nn.Module as a pipeline, and tiers that misbehave on request."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch

from ml.moderation.schema import TextInput
from ml.pipeline import Features, Item, Options, Pipeline, Prediction, Tier, TierRef
from ml.registry import Artifacts


@dataclass(frozen=True, slots=True)
class Length:
    cost: int


class LinearTier(Tier):
    def __init__(self, device: str) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(1, 2).to(device).eval()

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls(device)

    @torch.inference_mode()
    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        lengths = torch.tensor([[float(f.cost)] for f in batch])
        rows = torch.softmax(self.model(lengths), -1).tolist()
        return [Prediction({"short": row[0], "long": row[1]}) for row in rows]


class Toy(Pipeline):
    name = "toy"
    input_schema = TextInput
    tiers: tuple[TierRef, ...] = (TierRef("linear", "tests.ml.toys:LinearTier"),)
    example: ClassVar[Mapping[str, Any]] = {"text": "hello"}

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [Length(len(item.input["text"])) for item in items]

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        label = max(prediction.scores, key=prediction.scores.__getitem__)
        return {
            "label": label,
            "action": label,
            "confidence": prediction.scores[label],
            "scores": dict(prediction.scores),
        }


class Scripted(Tier):
    """Predicts what its script says; remembers the sizes of the batches it was given."""

    def __init__(self, script: Callable[[Sequence[Features]], Sequence[Prediction]]) -> None:
        self.script = script
        self.sizes: list[int] = []

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls(good)

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        self.sizes.append(len(batch))
        return self.script(batch)


def good(batch: Sequence[Features]) -> Sequence[Prediction]:
    return [Prediction({"cost": float(f.cost)}) for f in batch]


def fails_on(cost: int) -> Callable[[Sequence[Features]], Sequence[Prediction]]:
    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        if any(f.cost == cost for f in batch):
            raise ValueError(f"cannot do {cost}")
        return good(batch)

    return script


def not_finite_on(cost: int) -> Callable[[Sequence[Features]], Sequence[Prediction]]:
    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        return [Prediction({"cost": math.nan if f.cost == cost else 1.0}) for f in batch]

    return script


def one_too_few(batch: Sequence[Features]) -> Sequence[Prediction]:
    return good(batch)[1:]


def waits_for(event: threading.Event) -> Callable[[Sequence[Features]], Sequence[Prediction]]:
    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        event.wait()
        return good(batch)

    return script


def item(text: str, min_tier: str | None = None) -> Item:
    return Item({"text": text}, Options(min_tier=min_tier))

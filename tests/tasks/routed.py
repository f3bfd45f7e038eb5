"""A torch-free pipeline of two tiers: the small one is sure of short texts only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from ml.moderation.schema import TextInput
from ml.pipeline import Features, Item, Mode, Pipeline, Prediction, Tier, TierRef
from ml.registry import Artifacts
from tests.pipelines import Size

SURE = 10  # characters of the longest text that the small tier is sure of


class Big(Tier):
    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls()

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        return [Prediction({"length": float(member.cost)}) for member in batch]


class Small(Big):
    pass


class Routed(Pipeline):
    name = "routed"
    input_schema = TextInput
    tiers = (
        TierRef("big", "tests.tasks.routed:Big", timeout_s=60),
        TierRef("small", "tests.tasks.routed:Small", timeout_s=60),
    )
    mode = Mode.BALANCED
    cpu_below = 0.5
    batch_items = 8
    example: ClassVar = {"text": "an example"}

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [Size(len(item.input["text"])) for item in items]

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        return {"length": prediction.scores["length"]}

    def complexity(self, item: Item) -> float:
        return min(1.0, len(item.input["text"]) / 100)

    def sure(self, item: Item, prediction: Prediction) -> bool:
        return prediction.scores["length"] <= SURE

    def cache_key(self, item: Item) -> str:
        return str(item.input["text"])


routed = Routed()

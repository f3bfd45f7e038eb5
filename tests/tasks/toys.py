"""A toy pipeline without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from marshmallow import Schema, fields

from ml.pipeline import Item, Pipeline, Prediction, Tier, TierRef
from ml.registry import Artifacts


class Text(Schema):
    text = fields.String(required=True)


class Length:
    def __init__(self, text: str) -> None:
        self.text = text
        self.cost = max(1, len(text))


class Counting(Tier):
    """Scores a text by its length, records what it is asked, and fails on the word "bad"."""

    asked: list[str]

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        tier = cls()
        tier.asked = []
        return tier

    def predict(self, batch: Sequence[Any]) -> Sequence[Prediction]:
        self.asked += [features.text for features in batch]
        return [
            Prediction({"long": float("nan") if f.text == "bad" else float(len(f.text))})
            for f in batch
        ]


class Toy(Pipeline):
    name = "toy"
    input_schema = Text
    tiers = (TierRef("counting", "tests.tasks.toys:Counting"),)
    batch_items = 8
    example: ClassVar = {"text": "an example"}

    def features(self, items: Sequence[Item]) -> Sequence[Length]:
        return [Length(item.input["text"]) for item in items]

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        return {"length": prediction.scores["long"]}

    def cache_key(self, item: Item) -> str:
        return str(item.input["text"])


pipeline = Toy()

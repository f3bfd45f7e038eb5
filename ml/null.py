"""The null pipeline: no model, allows everything; for benchmarks and fault tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ml.moderation.schema import TextInput
from ml.pipeline import Features, Item, Pipeline, Prediction, Tier, TierRef
from ml.registry import Artifacts


@dataclass(frozen=True, slots=True)
class NullFeatures:
    """Features of no text: every input costs the same."""

    cost: int = 1


class NullTier(Tier):
    """A constant model: the class is always allow, with probability 1."""

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls()

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        return [_ALLOW] * len(batch)


class Null(Pipeline):
    """A pipeline that does no work per item, so that the overhead of queueing can be measured."""

    name = "null"
    input_schema = TextInput
    tiers = (TierRef("null", "ml.null:NullTier", timeout_s=math.inf),)
    example: ClassVar[Mapping[str, Any]] = {"text": "any text"}

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [_FEATURES] * len(items)

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        return {"label": "allow", "action": "allow", "confidence": 1.0, "scores": {"allow": 1.0}}


_FEATURES = NullFeatures()
_ALLOW = Prediction({"allow": 1.0})

pipeline = Null()

"""Torch-free pipelines that tests serve by PENSTOCK_PIPELINES."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ml.moderation.pipeline import Moderation
from ml.moderation.schema import TextInput
from ml.pipeline import Features, Item, Mode, Pipeline, Prediction, Tier, TierRef
from ml.registry import Artifacts

SLOW_S = 0.005  # seconds that the slow tier takes for each item
PLODDING_S = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    """The number of characters of a text."""

    cost: int


class SizeTier(Tier):
    """Scores a text by its length."""

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls()

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        return [Prediction({"length": float(member.cost)}) for member in batch]


class SlowTier(SizeTier):
    """The same at the pace of a real model, so that a kill lands in the middle of a batch."""

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        time.sleep(SLOW_S * len(batch))
        return super().predict(batch)


class PloddingTier(SizeTier):
    """Too slow for one child."""

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        time.sleep(PLODDING_S * len(batch))
        return super().predict(batch)


class Echo(Pipeline):
    """Answers with the text and its length; equal texts have equal answers."""

    name = "echo"
    input_schema = TextInput
    tiers: tuple[TierRef, ...] = (TierRef("size", "tests.pipelines:SizeTier", timeout_s=math.inf),)
    batch_items = 4
    example: ClassVar = {"text": "an example"}

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [Size(len(item.input["text"])) for item in items]

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        return {"echo": item.input["text"], "length": prediction.scores["length"]}

    def cache_key(self, item: Item) -> str | None:
        return str(item.input["text"])


class Slow(Echo):
    name = "slow"
    tiers = (TierRef("slow", "tests.pipelines:SlowTier", timeout_s=math.inf),)
    batch_items = 8


class Plodding(Echo):
    """Ten items a second and child; its items belong in the cpu lane."""

    name = "plodding"
    mode = Mode.BALANCED
    tiers = (TierRef("plodding", "tests.pipelines:PloddingTier", timeout_s=math.inf),)
    batch_items = 2
    cpu_below = 1.0

    def complexity(self, item: Item) -> float:
        return 0.0


class Bulky(Echo):
    """Echo by the batch, as bulk jobs have it; every answer is as large as its question."""

    name = "bulky"
    batch_items = 64

    def cache_key(self, item: Item) -> str | None:
        return None


class FastModeration(Moderation):
    """Moderation without its slowest tier, so that thousands of jobs fit a test on busy cores."""

    mode = Mode.QUALITY

    def __init__(self) -> None:
        super().__init__()
        self.tiers = self.tiers[1:]


moderation = FastModeration()
echo = Echo()
slow = Slow()
plodding = Plodding()
bulky = Bulky()

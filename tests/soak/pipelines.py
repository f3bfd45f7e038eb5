"""What the soak serves: a model of its pace, and texts that end the process that reads them."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ml.pipeline import Features, Item, Prediction, Tier, TierRef
from ml.registry import Artifacts
from tests.pipelines import Echo

ITEM_S = 0.001
POISON = "poison"


@dataclass(frozen=True, slots=True)
class Text:
    """A text; its cost is its number of characters."""

    text: str

    @property
    def cost(self) -> int:
        return len(self.text)


class BriskTier(Tier):
    """Scores a text by its length, at `ITEM_S` seconds an item."""

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls()

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        if any(isinstance(member, Text) and POISON in member.text for member in batch):
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(ITEM_S * len(batch))
        return [Prediction({"length": float(member.cost)}) for member in batch]


class Brisk(Echo):
    name = "brisk"
    tiers = (TierRef("brisk", "tests.soak.pipelines:BriskTier", timeout_s=math.inf),)
    batch_items = 32

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        return [Text(item.input["text"]) for item in items]


brisk = Brisk()

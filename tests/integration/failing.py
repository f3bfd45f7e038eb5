"""Pipelines that fail, with what they were given in the text of their errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ml.moderation.schema import TextInput
from ml.pipeline import Features, Prediction, TierRef
from tests.faults.bad_models import Lone, Obeying
from tests.soak.pipelines import Text

BROKEN, LOST = "broken at the door", "lost at the door"  # what the API itself fails on


class Talkative(Obeying):
    """Fails aloud on what begins with `fail`."""

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        for member in batch:
            if isinstance(member, Text) and member.text.startswith("fail"):
                raise ValueError(f"this shape does not fit {member.text}")
        return super().predict(batch)


class Door(TextInput):
    """Breaks the API while it reads a job."""

    def load(self, data: Any, **more: Any) -> Any:
        if BROKEN in str(data):
            raise ZeroDivisionError(f"nothing can be made of {data}")
        if LOST in str(data):
            raise LookupError(data["text"])
        return super().load(data, **more)


class Failing(Lone):
    name = "failing"
    input_schema = Door
    tiers: tuple[TierRef, ...] = (
        TierRef("talkative", "tests.integration.failing:Talkative", timeout_s=math.inf),
    )


failing = Failing()

"""A pipeline with a drift reference, and generated traffic for it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from ml.drift.reference import Reference, Row, row
from ml.pipeline import Features, Item, Options, Pipeline, Prediction, Tier, TierRef
from ml.registry import Artifacts
from ml.serving.outcomes import Outcome
from ml.serving.runtime import Runtime
from tests.tasks.toys import Length, Text

USUAL = Options()
OUTPUT = {"label": "allow", "confidence": 0.9, "tier": "steady"}


class Steady(Tier):
    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        return cls()

    def predict(self, batch: Sequence[Any]) -> Sequence[Prediction]:
        return [Prediction({"allow": 0.9})] * len(batch)


class Watched(Pipeline):
    name = "watched"
    input_schema = Text
    tiers = (TierRef("steady", "tests.tasks.drifting:Steady"),)
    example: ClassVar[Mapping[str, Any]] = {"text": "an example"}

    def features(self, items: Sequence[Item]) -> Sequence[Length]:
        return [Length(item.input["text"]) for item in items]

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        return {"label": "allow", "confidence": 0.9}

    def drift_features(self, item: Item, features: Features) -> Mapping[str, float]:
        return {"length": len(item.input["text"])}

    def drift_reference(self) -> Reference:
        return Reference.of(traffic(0, 2_000))


class Unwatched(Watched):
    name = "unwatched"

    def drift_reference(self) -> None:  # type: ignore[override]
        return None


class Careless(Watched):
    name = "careless"

    def drift_features(self, item: Item, features: Features) -> Mapping[str, float]:
        raise ValueError("no drift features")


def lengths(seed: int, size: int, longer: float = 1.0) -> list[int]:
    chance = random.Random(seed)  # noqa: S311
    return [max(1, round(chance.lognormvariate(4, 0.6) * longer)) for _ in range(size)]


def traffic(seed: int, size: int, longer: float = 1.0) -> list[Row]:
    return [row({"length": length}, OUTPUT) for length in lengths(seed, size, longer)]


def asked(
    pipeline: Pipeline, texts: Sequence[str], options: Options = USUAL
) -> tuple[Any, list[Outcome]]:
    """Arguments of `Sampler.observe` for texts: prepared questions and their outcomes."""
    prepared = Runtime.load(pipeline, "cpu").prepare([Item({"text": t}, options) for t in texts])
    return prepared, [Outcome(dict(OUTPUT), None) for _ in texts]


watched = Watched()
unwatched = Unwatched()
careless = Careless()

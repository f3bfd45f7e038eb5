"""The moderation pipeline: allow, review or block a text. Imports neither torch nor tokenizers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ml.moderation.policy import Policy, sharpen
from ml.moderation.router import Router
from ml.moderation.schema import TextInput
from ml.moderation.signals import watched
from ml.moderation.tiers import tiers_of
from ml.pipeline import Features, Item, Mode, Pipeline, Prediction
from ml.registry import Artifacts

if TYPE_CHECKING:
    from ml.moderation.features import Featuriser, TextFeatures

_VERSION = Artifacts.default("moderation")


class Moderation(Pipeline):
    """Text classifier with a policy that turns its scores into allow, review or block."""

    name = "moderation"
    input_schema = TextInput
    cpu_tier = "cnn"
    mode = Mode.BALANCED
    batch_tokens = 512  # on a CPU; a GPU is calibrated at warm-up
    example: ClassVar[Mapping[str, Any]] = {"text": "Have a great day, everyone!"}

    def __init__(self, artifacts: Artifacts = _VERSION) -> None:
        self._artifacts = artifacts
        self.tiers = tiers_of(artifacts)
        self.classes: tuple[str, ...] = tuple(artifacts.manifest["classes"])
        self.policy = Policy.read(self.classes, artifacts.manifest["policy"])
        # A version without a router sends everything to the gpu lane.
        self.router = Router.read(artifacts) if "routing" in artifacts.manifest else None
        self.cpu_below = self.router.thresholds.cpu_below if self.router else 0.0

    @property
    def artifacts(self) -> Artifacts:
        return self._artifacts

    def fingerprint(self) -> str:
        return self.featuriser.fingerprint()

    @cached_property
    def featuriser(self) -> Featuriser:
        from ml.moderation.features import Featuriser  # noqa: PLC0415 (workers only)
        from ml.moderation.tokenizer import WordPiece  # noqa: PLC0415

        return Featuriser(WordPiece.read(self._artifacts.file("tokenizer.json")))

    def features(self, items: Sequence[Item]) -> Sequence[Features]:
        texts = [item.input["text"] for item in items]
        return self.featuriser(texts, [item.options.max_tokens for item in items])

    def postprocess(self, item: Item, prediction: Prediction) -> dict[str, Any]:
        """Label and scores at the requested temperature; the action by policy, on scores at 1.

        Temperature changes the scores that the client sees; it must not change the action.
        """
        scores = sharpen(prediction.scores, item.options.temperature)
        label = max(scores, key=scores.__getitem__)
        action, rule = self.policy.decide(
            prediction.scores, item.input["text"], item.options.language
        )
        output: dict[str, Any] = {
            "label": label,
            "action": action,
            "confidence": round(scores[label], 6),
            "scores": {name: round(score, 6) for name, score in scores.items()},
        }
        return output | {"reason": rule} if rule else output

    def complexity(self, item: Item) -> float:
        return self.router.complexity(item.input["text"]) if self.router else 1.0

    def sure(self, item: Item, prediction: Prediction) -> bool:
        """Whether the answer may stand: asking the transformer would not be worth its time."""
        confidence = max(prediction.scores.values())
        return self.router is None or self.router.sure(item.input["text"], confidence)

    def cache_key(self, item: Item) -> str:
        """The text and every option that may change its output; not who wrote it."""
        asked = item.options
        key = [item.input["text"], asked.language, asked.temperature, asked.max_tokens]
        return json.dumps([*key, asked.min_tier], ensure_ascii=True)

    def drift_features(self, item: Item, features: Features) -> Mapping[str, float]:
        """Figures of the text as the client sent it, and of the tokens that the tiers read."""
        ids = cast("TextFeatures", features).ids
        unknown = self.featuriser.tokenizer.unknown_share(ids)
        return watched(item.input["text"]) | {"tokens": len(ids), "out_of_vocabulary": unknown}

    def describe(self) -> dict[str, Any]:
        manifest = self._artifacts.manifest
        kept = (
            "version",
            "classes",
            "metrics",
            "policy",
            "actions",
            "routing",
            "latency",
            "licence",
            "model_card",
        )
        return {key: manifest[key] for key in kept if key in manifest}


pipeline = Moderation()

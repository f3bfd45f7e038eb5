"""The rules tier: weighted terms, a few microseconds a text, no torch; the last tier.

A class's logit is its bias plus the sum of the weights of the terms found, scaled. Terms are words
and pairs of neighbouring words after folding; weights are fitted by `ml.training.fitting.terms`.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from ml.moderation.features import TextFeatures
from ml.pipeline import Features, Prediction, Tier
from ml.registry import Artifacts

_LEET = str.maketrans("013457@$!|", "oieastasii")
_SPELLED = re.compile(r"(?:\w[.*_\-]+){2,}\w")
_WORD = re.compile(r"\w+(?:[@$!*'’]+\w+)*")
_REPEAT = re.compile(r"(\w)\1{2,}")


def fold(text: str) -> list[str]:
    """The words of a normalised text in lower case, without accents, leetspeak and spacing tricks."""
    text = text.lower()
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in parts if not unicodedata.combining(c))
    text = _SPELLED.sub(lambda match: re.sub(r"[^\w]|_", "", match.group()), text)
    text = _REPEAT.sub(r"\1\1", text.replace("$", "s") if "$" in text else text)
    return [word if word.isalpha() else _unleet(word) for word in _WORD.findall(text)]


def _unleet(word: str) -> str:
    return word if word.isdigit() else word.translate(_LEET).replace("’", "'")


def terms(words: Sequence[str]) -> list[str]:
    """Words and pairs of neighbouring words, joined by a space."""
    return [*words, *map(" ".join, pairwise(words))]


@dataclass(frozen=True, slots=True)
class Rules:
    """The fitted terms. weights: per term one weight a class; bias: one a class."""

    classes: tuple[str, ...]
    weights: Mapping[str, Sequence[float]]
    bias: tuple[float, ...]
    scale: float

    @classmethod
    def read(cls, path: Path) -> Self:
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(data["classes"]), data["terms"], tuple(data["bias"]), data["scale"])

    def logits(self, words: Sequence[str]) -> list[float]:
        found = [w for term in terms(words) if (w := self.weights.get(term))]
        sums = [sum(column) for column in zip(*found, strict=True)] or [0.0] * len(self.bias)
        return [b + self.scale * s for b, s in zip(self.bias, sums, strict=True)]

    def scores(self, words: Sequence[str]) -> dict[str, float]:
        """The probability of each class."""
        raw = self.logits(words)
        top = max(raw)
        powers = [math.exp(value - top) for value in raw]
        total = sum(powers)
        return {name: power / total for name, power in zip(self.classes, powers, strict=True)}


class RulesTier(Tier):
    """The fitted terms; always on the CPU."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    @classmethod
    def load(cls, artifacts: Artifacts | None, device: str) -> Self:
        if artifacts is None:
            raise ValueError("the rules tier needs a model version")
        return cls(Rules.read(artifacts.file(artifacts.manifest["tiers"]["rules"]["file"])))

    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        return [Prediction(self._rules.scores(_words(features))) for features in batch]


def _words(features: Features) -> list[str]:
    if not isinstance(features, TextFeatures):
        raise TypeError(f"rules read TextFeatures, not {type(features).__name__}")
    return fold(features.text)[: features.limit]

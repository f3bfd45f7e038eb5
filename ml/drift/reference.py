"""The drift reference of a model version: feature rows that production is compared with. No texts.

A row is one item: its numeric features, and the confidence, class and tier of its answer. Standard
library only, because the API reads the declaration of every pipeline.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

REFERENCE: Final = "drift.json"  # name of the file in a model version
CONFIDENCE: Final = "confidence"
CLASS: Final = "class"
TIER: Final = "tier"
LONGEST_CLASS: Final = 64  # characters; a class is a word, and an answer must not be kept as one

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """One tier's answers to the reference's items: confidences 0..1, and items by class."""

    confidence: Sequence[float]
    classes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reference:
    """features: by name a figure for each row. answers: by tier, since tiers differ in confidence.

    The rows of the features are a sample; an answer's classes may be counted over more.
    """

    features: Mapping[str, Sequence[float]]
    answers: Mapping[str, Answers]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a reference from a file that `dump` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        answers = {tier: Answers(**said) for tier, said in found["answers"].items()}
        return cls(found["features"], answers)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Build a reference from rows as the workers sample them."""
        features: dict[str, list[float]] = {}
        confidence: dict[str, list[float]] = {}
        classes: dict[str, Counter[str]] = {}
        for row in rows:
            tier = row[TIER]
            confidence.setdefault(tier, [])
            classes.setdefault(tier, Counter())
            for name, value in row.items():
                if name == CLASS:
                    classes[tier][value] += 1
                elif name == CONFIDENCE:
                    confidence[tier].append(value)
                elif name != TIER:
                    features.setdefault(name, []).append(value)
        answers = {tier: Answers(confidence[tier], classes[tier]) for tier in classes}
        return cls(features, answers)

    @property
    def rows(self) -> int:
        return max((len(values) for values in self.features.values()), default=0)

    def dump(self) -> str:
        """Write the reference as JSON; equal references give equal text."""
        answers = {
            tier: {"confidence": list(said.confidence), "classes": dict(said.classes)}
            for tier, said in self.answers.items()
        }
        features = {name: list(values) for name, values in self.features.items()}
        return json.dumps({"features": features, "answers": answers}, separators=(",", ":"))


def row(
    features: Mapping[str, float],
    output: Mapping[str, Any],
    comparable: bool = True,
    routed: bool = False,
) -> Row:
    """The row of one item.

    comparable: whether its confidence is what it would be with default options. routed: whether its
    tier was chosen by the item's complexity; then neither confidence nor class is comparable.
    """
    figures: dict[str, Any] = {name: round(float(value), 4) for name, value in features.items()}
    confidence, label = output.get("confidence"), output.get("label")
    if comparable and not routed and isinstance(confidence, float | int):
        figures[CONFIDENCE] = round(float(confidence), 4)
    if not routed and isinstance(label, str):
        figures[CLASS] = label[:LONGEST_CLASS]
    return figures | {TIER: output[TIER]}

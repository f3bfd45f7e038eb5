"""Moderation policy: turns probabilities into an action by thresholds and business rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ml.moderation.signals import foreign_share


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds and business rules, as the manifest has them.

    classes: from harmless to worst. thresholds: for each class but the first, the probability of
    "this or worse" from which on its action is taken. doubtful: the action for texts the model
    was not made for. languages: those it was made for. foreign_share: a text with a greater share
    of letters of other scripts counts as another language.
    """

    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    doubtful: str
    languages: frozenset[str]
    foreign_share: float

    @classmethod
    def read(cls, classes: Sequence[str], data: Mapping[str, Any]) -> Self:
        return cls(
            tuple(classes),
            dict(data["thresholds"]),
            str(data["doubtful"]),
            frozenset(data["languages"]),
            float(data["foreign_share"]),
        )

    def decide(self, scores: Mapping[str, float], text: str, language: str) -> tuple[str, str]:
        """The action for a text, and the rule that overrode the model ("" if none did)."""
        if rule := self.rule(text, language):
            return self.doubtful, rule
        return self.by_threshold(scores), ""

    def by_threshold(self, scores: Mapping[str, float]) -> str:
        worse = 0.0
        for name in reversed(self.classes[1:]):
            worse += scores[name]
            if worse >= self.thresholds[name]:
                return name
        return self.classes[0]

    def rule(self, text: str, language: str) -> str:
        if not text:
            return "nothing_to_read"
        if language.lower().partition("-")[0] not in self.languages:
            return "language_not_supported"
        if foreign_share(text) > self.foreign_share:
            return "mostly_another_script"
        return ""


def sharpen(scores: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Apply a softmax temperature to probabilities.

    softmax(z / T) is proportional to softmax(z) ** (1 / T), so no logits are needed.
    """
    if temperature == 1.0:
        return dict(scores)
    top = max(scores.values())
    powers = {name: (p / top) ** (1 / temperature) for name, p in scores.items()}
    total = sum(powers.values())
    return {name: power / total for name, power in powers.items()}

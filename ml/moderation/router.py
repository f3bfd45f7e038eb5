"""Router: estimates a text's complexity, and decides whether the cnn's answer may stand.

`complexity` is a logistic regression over cheap figures and known words, fitted by
`ml.training.routing`: an estimate, from the text alone, of the probability that the cnn's label is
not the transformer's. `doubt` compares the odds that the cnn is wrong with the cost of asking the
transformer. Standard library only, because the API routes without torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from ml.registry import ArtifactError, Artifacts

ROUTING: Final = "routing.json"  # name of the file in a model version
LONGEST: Final = 384  # characters read of a text, so that a long one takes no longer
FIGURES: Final = (
    *("length", "words", "not_ascii", "capitals", "punctuation"),
    *("hashtags", "mentions", "question", "link"),
)
_WORD = re.compile(r"[a-z']+")
_CAPITAL = re.compile(r"[A-Z]")
_MARK = re.compile(r"[^\w\s]")


def words(text: str) -> set[str]:
    """The distinct words of a text's first LONGEST characters, in lower case."""
    return set(_WORD.findall(text[:LONGEST].lower()))


def figures(text: str) -> tuple[float, ...]:
    """One figure per name in FIGURES, about 0 to 1 each."""
    text = text[:LONGEST]
    size = len(text) or 1
    return (
        math.log(size) / 5,
        text.count(" ") / 30,
        0.0 if text.isascii() else 1.0,
        len(_CAPITAL.findall(text)) / size,
        len(_MARK.findall(text)) / size,
        float(min(3, text.count("#"))),
        float(min(3, text.count("@"))),
        1.0 if "?" in text else 0.0,
        1.0 if "http" in text else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """cpu_below: texts less complex than this go to the cpu lane. sure_below: the cnn's answers
    that are less doubtful than this stand. tilt: how much length excuses doubt."""

    cpu_below: float
    sure_below: float
    tilt: float


@dataclass(frozen=True, slots=True)
class Router:
    """Coefficients of `complexity` (bias, a weight per FIGURES, one per known word), thresholds."""

    bias: float
    figures: tuple[float, ...]
    terms: Mapping[str, float]
    thresholds: Thresholds

    @classmethod
    def read(cls, artifacts: Artifacts) -> Self:
        """The router of a version whose manifest has "routing".

        Raises:
            ml.registry.ArtifactError: its file differs from the manifest, or is not a router.
        """
        path, chosen = artifacts.file(ROUTING), artifacts.manifest["routing"]["thresholds"]
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            thresholds = Thresholds(**{name: float(value) for name, value in chosen.items()})
            return cls.of(data["complexity"], thresholds)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(f"{path} is no router: {error!r}") from error

    @classmethod
    def of(cls, data: Mapping[str, Any], thresholds: Thresholds) -> Self:
        """Build a router from the data of `routing.json`; ValueError or KeyError if invalid."""
        if set(data["figures"]) != set(FIGURES):
            raise ValueError(f"its figures are not {', '.join(FIGURES)}")
        ordered = tuple(float(data["figures"][name]) for name in FIGURES)
        terms = {str(term): float(weight) for term, weight in data["terms"].items()}
        return cls(float(data["bias"]), ordered, terms, thresholds)

    def complexity(self, text: str) -> float:
        """The probability, 0..1, that the cnn's label will not be the transformer's."""
        known = self.terms.get
        of_words = sum(weight for word in words(text) if (weight := known(word)))
        logit = self.bias + sum(map(float.__mul__, self.figures, figures(text))) + of_words
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))

    def sure(self, text: str, confidence: float) -> bool:
        """Whether the cnn's answer may stand, given the probability of its label."""
        return doubt(text, confidence, self.thresholds.tilt) < self.thresholds.sure_below


def doubt(text: str, confidence: float, tilt: float) -> float:
    """The odds against an answer, over the text's length to the power of `tilt`.

    The transformer's time grows with the length. With a tilt, a long text must be more doubtful
    than a short one to be worth it; at 1, it is doubt per second that counts.
    """
    size = min(LONGEST, len(text) or 1)
    return (1 - confidence) / max(1e-9, confidence) / math.pow(size, tilt)

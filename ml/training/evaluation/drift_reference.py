"""Builds a version's drift reference: features of dev rows, and each tier's answers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ml.drift.reference import Answers, Reference, row
from ml.moderation.pipeline import Moderation
from ml.pipeline import Item
from ml.registry import Artifacts
from ml.text import clean
from ml.training.metrics import Floats

SAMPLE = 2_000  # rows whose figures are kept


def reference(
    artifacts: Artifacts, texts: Sequence[str], scores: Mapping[str, Floats], seed: int
) -> Reference:
    """The reference from a random sample of `texts`; classes are counted over all of them.

    scores: by tier, probabilities (N, C) of `texts`.
    """
    pipeline = Moderation(artifacts)
    count = min(SAMPLE, len(texts))
    chosen = sorted(np.random.default_rng(seed).choice(len(texts), count, replace=False).tolist())
    items = [Item({"text": clean(texts[n])}) for n in chosen]
    figures: dict[str, list[float]] = {}
    for item, features in zip(items, pipeline.features(items), strict=True):
        of_item = row(pipeline.drift_features(item, features), {"tier": ""})
        for name in of_item.keys() - {"tier"}:
            figures.setdefault(name, []).append(of_item[name])
    answers = {name: _answers(pipeline, found, chosen) for name, found in scores.items()}
    return Reference(dict(sorted(figures.items())), answers)


def _answers(pipeline: Moderation, scores: Floats, chosen: Sequence[int]) -> Answers:
    """Confidences and classes as outputs show them, at temperature 1."""
    labels = Counter(pipeline.classes[n] for n in scores.argmax(1).tolist())
    return Answers([round(float(c), 4) for c in scores.max(1)[chosen]], labels)

"""Measures quality and speed of a model version, loaded as a worker loads it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from ml.catalog import resolve
from ml.moderation.features import MAX_TOKENS, Featuriser, TextFeatures
from ml.moderation.models.cnn import CnnTier
from ml.moderation.models.transformer_tier import TransformerTier
from ml.moderation.tiers import tiers_of
from ml.moderation.tokenizer import WordPiece
from ml.pipeline import Tier
from ml.registry import Artifacts
from ml.training.data.batches import by_length
from ml.training.data.rows import Split
from ml.training.metrics import Floats, report


def load_tiers(
    artifacts: Artifacts, device: str, precisions: Sequence[str] = ()
) -> dict[str, Tier]:
    """Load every tier of a version as workers do; by name, best first.

    Each learned tier is preceded by itself in each of `precisions`, as "cnn fp32" and so on.
    """
    loaded: dict[str, Tier] = {}
    for ref in tiers_of(artifacts):
        kind = resolve(ref.target)
        if not (isinstance(kind, type) and issubclass(kind, Tier)):
            raise TypeError(f"{ref.target} is no Tier")
        if issubclass(kind, CnnTier | TransformerTier):
            for precision in precisions:
                loaded[f"{ref.name} {precision}"] = kind.load_as(artifacts, device, precision)
        loaded[ref.name] = kind.load(artifacts, device)
    return loaded


def featurise(artifacts: Artifacts, texts: Sequence[str]) -> list[TextFeatures]:
    """Features by this version's tokenizer; raises ArtifactError if their code has changed."""
    featuriser = Featuriser(WordPiece.read(artifacts.file("tokenizer.json")))
    artifacts.require_features(featuriser.fingerprint())
    return featuriser(texts, [MAX_TOKENS] * len(texts))


def score(tier: Tier, features: Sequence[TextFeatures], batch: int = 32) -> Floats:
    """Probabilities (N, C) by `tier`."""
    rows: list[list[float]] = [[]] * len(features)
    for numbers in tqdm(by_length([f.cost for f in features], batch), leave=False, mininterval=5):
        found = tier.predict([features[n] for n in numbers])
        for n, prediction in zip(numbers, found, strict=True):
            rows[n] = list(prediction.scores.values())
    return np.array(rows)


def scores(artifacts: Artifacts, split: Split, tiers: Mapping[str, Tier]) -> dict[str, Floats]:
    """Per tier, the probabilities (N, C) of the texts of `split`."""
    features = featurise(artifacts, split.texts)
    return {name: score(tier, features) for name, tier in tiers.items()}


def quality(
    artifacts: Artifacts, split: Split, found: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """Per tier, the figures of `metrics.report` for the `scores` on `split`."""
    classes = list(artifacts.manifest["classes"])
    truth = np.array(split.indices(classes))
    return {name: report(truth, of, split.sources, classes) for name, of in found.items()}


def speed(
    artifacts: Artifacts, texts: Sequence[str], tiers: Mapping[str, Tier]
) -> dict[str, dict[str, float]]:
    """Per tier, features not counted: milliseconds at batch 1 and items/s at batch 1, 8, 32.

    Batches are of neighbours by length, as workers pack them; medians, so that other load on the
    machine counts little.
    """
    features = sorted(featurise(artifacts, texts), key=lambda f: f.cost)
    return {name: _speed(tier, features) for name, tier in tiers.items()}


def _speed(tier: Tier, features: Sequence[TextFeatures]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for size in (1, 8, 32):
        batches = [features[n : n + size] for n in range(0, len(features) - size + 1, size)]
        tier.predict(batches[0])
        seconds = [_seconds(tier, batch) for batch in batches]
        figures[f"ms_{size}"] = round(1000 * float(np.mean(seconds)), 3)
        figures[f"items_s_{size}"] = round(size / float(np.mean(seconds)), 1)
    return figures


def _seconds(tier: Tier, batch: Sequence[TextFeatures], tries: int = 3) -> float:
    """The median of a few calls."""
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        tier.predict(batch)
        times.append(time.perf_counter() - began)
    return sorted(times)[tries // 2]

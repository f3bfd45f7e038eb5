"""What a manifest says about its models: thresholds from dev, quality and speed from test."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from ml.moderation.signals import signals
from ml.pipeline import Tier
from ml.registry import Artifacts
from ml.text import clean
from ml.training import measure
from ml.training.calibrate import thresholds
from ml.training.metrics import Floats
from ml.training.release import Release
from ml.training.stages import Stages

PRECISIONS = ("fp32",)  # of the learned tiers, measured beside what is served
_SAMPLE = 500  # dev rows whose signals and confidences drift is measured against


def add_evidence(release: Release, stages: Stages) -> None:
    """Adds policy, drift reference, metrics, latency and data hashes to `release`."""
    artifacts = release.artifacts()
    tiers = measure.load_tiers(artifacts, stages.device)
    scores = _dev_scores(artifacts, stages, tiers)
    compared = measure.load_tiers(artifacts, stages.device, PRECISIONS) | tiers
    release.facts["policy"] = _policy(stages, scores[next(iter(tiers))])
    release.facts["metrics"] = measure.quality(artifacts, stages.test.split, compared)
    release.facts["latency"] = {
        "threads": torch.get_num_threads(),
        "device": stages.device,
        **measure.speed(artifacts, stages.test.split.texts[:256], compared),
    }
    release.facts["data"] = {
        name: {"file": path.name, "rows": len(texts.split), "sha256": texts.split.sha256}
        for name, path, texts in (
            ("train", stages.config.train, stages.train),
            ("dev", stages.config.dev, stages.dev),
            ("test", stages.config.test, stages.test),
        )
    }
    reference = _reference(stages, scores)
    (release.path / "reference.json").write_text(json.dumps(reference), encoding="utf-8")


def _dev_scores(artifacts: Artifacts, stages: Stages, tiers: dict[str, Tier]) -> dict[str, Floats]:
    features = measure.featurise(artifacts, stages.dev.split.texts)
    return {name: measure.score(tier, features) for name, tier in tiers.items()}


def _policy(stages: Stages, scores: Floats) -> dict[str, Any]:
    """Thresholds come from the best tier; the others are calibrated to the same scale."""
    config = stages.config
    truth = np.array(stages.dev.labels)
    return {
        "thresholds": thresholds(truth, scores, config.classes, config.policy.precision),
        "precision_on_dev": dict(config.policy.precision),
        "doubtful": config.policy.doubtful,
        "languages": list(config.policy.languages),
        "foreign_share": config.policy.foreign_share,
    }


def _reference(stages: Stages, scores: dict[str, Floats]) -> dict[str, Any]:
    """Numeric features and confidences of random dev rows; no texts."""
    generator = np.random.default_rng(stages.config.seed)
    count = min(_SAMPLE, len(stages.dev.plain))
    rows = sorted(generator.choice(len(stages.dev.plain), count, replace=False).tolist())
    found = [signals(clean(stages.dev.split.texts[n])) for n in rows]
    return {
        "signals": {name: [round(row[name], 4) for row in found] for name in found[0]},
        "confidence": {
            name: [round(float(c), 4) for c in of.max(1)[rows]] for name, of in scores.items()
        },
    }

"""What a version says about its models: thresholds from dev, quality and speed from test."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from ml.moderation.signals import signals
from ml.text import clean
from ml.training import measure
from ml.training.calibrate import thresholds
from ml.training.metrics import Floats, actions
from ml.training.page import Measured, page
from ml.training.release import Release
from ml.training.stages import Stages

PRECISIONS = ("fp32",)  # of the learned tiers, measured beside what is served
_SAMPLE = 500  # dev rows whose signals and confidences drift is measured against
_TIMED = 256  # test rows that speed is measured on


def add_evidence(release: Release, stages: Stages) -> None:
    """Adds policy, metrics, latency, data hashes, drift reference and plots to `release`."""
    artifacts = release.artifacts()
    served = measure.load_tiers(artifacts, stages.device)
    compared = measure.load_tiers(artifacts, stages.device, PRECISIONS)
    dev = measure.scores(artifacts, stages.dev.split, served)
    test = measure.scores(artifacts, stages.test.split, compared)
    speed = measure.speed(artifacts, stages.test.split.texts[:_TIMED], compared)
    quality = measure.quality(artifacts, stages.test.split, test)
    policy = _policy(stages, dev)
    release.facts |= {
        "policy": policy,
        "actions": {name: _actions(stages, test[name], policy) for name in served},
        "metrics": {name: quality[name] for name in served},
        "precisions": {name: quality[name] for name in compared if name not in served},
        "latency": {"threads": torch.get_num_threads(), "device": stages.device, **speed},
        "data": _data(stages),
    }
    reference = json.dumps(_reference(stages, dev))
    (release.path / "reference.json").write_text(reference, encoding="utf-8")
    shown = {name: test[name] for name in served}
    truth, classes = np.array(stages.test.labels), stages.config.classes
    measured = Measured(release.version, classes, truth, shown, quality, speed)
    (release.path / "report.html").write_text(page(measured), encoding="utf-8")


def _policy(stages: Stages, scores: dict[str, Floats]) -> dict[str, Any]:
    """Thresholds come from the best tier; the others are calibrated to the same scale."""
    config, truth = stages.config, np.array(stages.dev.labels)
    best = next(iter(scores.values()))
    return {
        "thresholds": thresholds(truth, best, config.classes, config.policy.precision),
        "precision_on_dev": dict(config.policy.precision),
        "doubtful": config.policy.doubtful,
        "languages": list(config.policy.languages),
        "foreign_share": config.policy.foreign_share,
    }


def _actions(stages: Stages, scores: Floats, policy: dict[str, Any]) -> dict[str, Any]:
    truth = np.array(stages.test.labels)
    return actions(truth, scores, stages.config.classes, policy["thresholds"])


def _data(stages: Stages) -> dict[str, Any]:
    config = stages.config
    files = (("train", config.train), ("dev", config.dev), ("test", config.test))
    splits = {"train": stages.train, "dev": stages.dev, "test": stages.test}
    return {
        name: {
            "file": path.name,
            "rows": len(splits[name].split),
            "sha256": splits[name].split.sha256,
        }
        for name, path in files
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

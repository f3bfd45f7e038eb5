"""Adds evidence to a version: thresholds from dev, quality and speed from test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ml.drift.reference import REFERENCE
from ml.training.evaluation import measure
from ml.training.evaluation.drift_reference import reference
from ml.training.evaluation.page import Measured, page
from ml.training.fitting.confidence import thresholds
from ml.training.metrics import Floats, actions
from ml.training.release import Release
from ml.training.stages import Stages

PRECISIONS = ("fp32",)  # of the learned tiers, measured in addition to the precision that is served
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
    figures = reference(release.artifacts(), stages.dev.split.texts, dev, stages.config.seed)
    (release.path / REFERENCE).write_text(figures.dump(), encoding="utf-8")
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

"""Command: train a model version from one configuration file.

    python -m ml.train [CONFIG] [--data DIR] [--wheel FILE] [--version NAME] [--work DIR]

    data -> vocabulary -> transformer -> its logits -> cnn, distilled from them -> rules
         -> calibration and thresholds on dev -> measured on test as loaded from disk -> version

A stopped run resumes where it was: each stage leaves its result in `--work`.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from ml.moderation.models.cnn import CnnConfig
from ml.moderation.models.transformer import EncoderConfig
from ml.quantization.weights import compress, restore
from ml.registry import MODELS
from ml.training import config as configuration
from ml.training.evaluation.evidence import add_evidence
from ml.training.fitting.confidence import calibration
from ml.training.release import Release
from ml.training.stages import Stages, model_logits, teaching_logits

log = logging.getLogger(__name__)


def train(stages: Stages, release: Release) -> Path:
    """Runs every stage and returns the directory of the new version."""
    release.begin(stages.vocabulary[0], stages.featuriser)
    sizes = (stages.featuriser.tokenizer.size, len(stages.config.classes))
    teacher = None
    if encoder := stages.transformer():
        teacher = stages.scored("teacher", lambda: teaching_logits(encoder, stages.train))
        _add(release, stages, encoder, "transformer", EncoderConfig(*sizes))
    student = stages.cnn(teacher)
    _add(release, stages, student, "cnn", CnnConfig(*sizes))
    release.add_rules(stages.rules())
    add_evidence(release, stages)
    return release.publish()


def _add(
    release: Release, stages: Stages, model: nn.Module, name: str, sizes: EncoderConfig | CnnConfig
) -> None:
    """Store a model with a calibration fitted to its quantized weights, as it will be loaded."""
    packed = compress(model.state_dict())
    model.load_state_dict(restore(packed))
    logits = model_logits(model, stages.dev)
    release.add_model(name, packed, sizes, calibration(logits, torch.tensor(stages.dev.labels)))


def main() -> None:
    """Apply the command line to the configuration, train, and print where the version is."""
    arguments = _arguments()
    config = configuration.read(arguments.config)
    if arguments.data:
        config = config.with_data(arguments.data)
    if arguments.wheel:
        config = replace(config, wheel=arguments.wheel)
    if arguments.seed is not None:
        config = replace(config, seed=arguments.seed)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stages = Stages(config, arguments.work, arguments.device)
    path = train(stages, Release(arguments.models, arguments.version, config))
    print(f"wrote {path}; serve it with: echo {path.name} > {path.parent / 'default'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.train", description=__doc__.split("\n")[0])
    here = Path(__file__).parent / "training" / "moderation.toml"
    today = datetime.now(UTC).strftime("%Y.%m.%d")
    parser.add_argument("config", nargs="?", type=Path, default=here, help="TOML file")
    parser.add_argument("--data", type=Path, help="folder of the files that CONFIG names")
    parser.add_argument("--wheel", type=Path, help="checkpoint to start from, instead of CONFIG's")
    parser.add_argument("--seed", type=int, help="instead of CONFIG's")
    parser.add_argument("--version", default=today, help="name of the version (default: the date)")
    parser.add_argument("--models", type=Path, default=MODELS, help="where versions are kept")
    parser.add_argument("--work", type=Path, default=Path("var/train"), help="intermediate results")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()

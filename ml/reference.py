"""Command: write a new model version with a new drift reference; nothing else changes.

    python -m ml.reference --data ../shared/data --version NAME [--of NAME] [--pipeline NAME]

Versions never change, so a reference for one that has none, or has an old one, is a new version.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ml.drift.reference import REFERENCE
from ml.registry import MODELS, Artifacts
from ml.training.data.rows import Columns, read
from ml.training.evaluation import measure
from ml.training.evaluation.drift_reference import reference
from ml.training.release import derive_version

_REPLACED = "reference.json"  # versions before 2026.11.25.1 had it, and no code reads it


def renew(artifacts: Artifacts, version: str, dev: Path) -> Path:
    """Write the new version and return its directory.

    dev: the file of rows that the thresholds of `artifacts` were chosen on.

    Raises:
        FileExistsError: a version of that name exists.
        ValueError: `dev` is not the file that the version was calibrated on.
    """
    final = artifacts.path.parent / version
    if final.exists():
        raise FileExistsError(f"{final} exists; versions never change, choose another")
    trained = artifacts.manifest["training"]["config"]
    split = read(dev, Columns(**trained["columns"]))
    if split.sha256 != artifacts.manifest["data"]["dev"]["sha256"]:
        raise ValueError(f"{dev} is not the file that {artifacts.version} was calibrated on")
    scores = measure.scores(artifacts, split, measure.load_tiers(artifacts, "cpu"))
    text = reference(artifacts, split.texts, scores, trained["seed"]).dump()
    return derive_version(artifacts, version, {REFERENCE: text}, {}, without={_REPLACED})


def main() -> None:
    """Compute the drift reference on the dev rows and release it as a new version."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    folder = arguments.models / arguments.pipeline
    if arguments.of:
        artifacts = Artifacts.open(folder / arguments.of)
    else:
        artifacts = Artifacts.default(arguments.pipeline, arguments.models)
    dev = arguments.data / artifacts.manifest["data"]["dev"]["file"]
    path = renew(artifacts, arguments.version, dev)
    print(f"wrote {path}; serve it with: echo {path.name} > {path.parent / 'default'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m ml.reference", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the dev rows")
    parser.add_argument("--version", required=True, help="name of the new version")
    parser.add_argument("--of", help="the version to renew (default: the one served)")
    parser.add_argument("--pipeline", default="moderation")
    parser.add_argument("--models", type=Path, default=MODELS, help="where versions are kept")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()

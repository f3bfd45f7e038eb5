"""Command: write a new model version with a newly fitted router; the weights stay.

    python -m ml.training.routing --data ../shared/data --version NAME [--of NAME] [--plot FILE]

    answers of both tiers to train, dev, test -> complexity, fitted on train
         -> thresholds, chosen on dev -> curve on dev, chosen point on test -> version

Versions never change, so new thresholds are a new version. The tiers' answers are kept in `--work`
and not computed twice. The same answers give the same coefficients and thresholds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.moderation.features import TextFeatures
from ml.moderation.router import ROUTING, Router, Thresholds
from ml.pipeline import Tier
from ml.registry import MODELS, Artifacts
from ml.text import clean
from ml.training.data.batches import by_length
from ml.training.data.rows import Columns, Split, read
from ml.training.evaluation import measure
from ml.training.release import derive_version
from ml.training.routing.fit import Spec, fit
from ml.training.routing.mixture import (
    BUDGET,
    CHEAP,
    ON_CPU,
    QUALITY,
    TOKENS,
    Routed,
    choose,
    curve,
)

Answers = dict[str, NDArray[Any]]  # by tier scores (N, C), and under "<tier>_s" seconds (N,)
_TIERS = ("cnn", "transformer")


class Data:
    """The splits a version was made of, with its tiers' answers to them."""

    def __init__(self, artifacts: Artifacts, folder: Path, work: Path) -> None:
        self.artifacts, self.folder, self.work = artifacts, folder, work
        work.mkdir(parents=True, exist_ok=True)

    def split(self, name: str) -> Split:
        """Read a split; raises ValueError if it is not the file that the version was made of."""
        listed = self.artifacts.manifest["data"][name]
        path = self.folder / listed["file"]
        columns = Columns(**self.artifacts.manifest["training"]["config"]["columns"])
        split = read(path, columns)
        if split.sha256 != listed["sha256"]:
            raise ValueError(f"{path} is not the file that {self.artifacts.version} was made of")
        return split

    def answers(self, name: str, split: Split) -> Answers:
        path = self.work / f"{self.artifacts.version}-{name}.npz"
        if not path.exists():
            features = measure.featurise(self.artifacts, split.texts)
            tiers = measure.load_tiers(self.artifacts, "cpu")
            found: Answers = {}
            for tier in _TIERS:
                found[tier], found[f"{tier}_s"] = _timed(tiers[tier], features)
            np.savez(path, allow_pickle=False, **found)
        with np.load(path) as kept:
            return dict(kept)


def _timed(tier: Tier, features: Sequence[TextFeatures], batch: int = 32) -> tuple[Any, Any]:
    """Scores (N, C) and seconds (N,); each row has its share of its batch's seconds."""
    scores: list[list[float]] = [[]] * len(features)
    seconds = np.zeros(len(features))
    tier.predict(features[:1])
    for numbers in by_length([f.cost for f in features], batch):
        began = time.perf_counter()
        found = tier.predict([features[n] for n in numbers])
        seconds[numbers] = (time.perf_counter() - began) / len(numbers)
        for n, prediction in zip(numbers, found, strict=True):
            scores[n] = list(prediction.scores.values())
    return np.array(scores), seconds


def fitted(data: Data, spec: Spec) -> dict[str, Any]:
    """Fit the coefficients of complexity."""
    train = data.split("train")
    answers = data.answers("train", train)
    differs = answers["cnn"].argmax(1) != answers["transformer"].argmax(1)
    return fit([clean(text) for text in train.texts], differs, spec)


def routed(data: Data, name: str, coefficients: dict[str, Any]) -> Routed:
    """A split with its complexities and the tiers' answers."""
    split, router = data.split(name), Router.of(coefficients, QUALITY)
    answers = data.answers(name, split)
    texts = [clean(text) for text in split.texts]
    return Routed(
        truth=np.array(split.indices(data.artifacts.manifest["classes"])),
        sources=split.sources,
        texts=texts,
        complexity=np.array([router.complexity(text) for text in texts]),
        confidence=answers["cnn"].max(1),
        cnn=answers["cnn"].argmax(1),
        transformer=answers["transformer"].argmax(1),
        tokens=np.array([f.cost for f in measure.featurise(data.artifacts, split.texts)]),
        cnn_s=answers["cnn_s"],
        transformer_s=answers["transformer_s"],
    )


def route(data: Data, spec: Spec) -> tuple[dict[str, Any], dict[str, Any]]:
    """The contents of `routing.json`, and the manifest's "routing"."""
    coefficients = fitted(data, spec)
    dev = routed(data, "dev", coefficients)
    chosen = choose(dev)
    splits = {"dev": dev, "test": routed(data, "test", coefficients)}
    file = {"fit": asdict(spec), "complexity": coefficients, "curve": {"dev": curve(dev, chosen)}}
    said = {
        "thresholds": asdict(chosen),
        "budget": BUDGET,
        "aims": {"on_cpu": ON_CPU, "gpu_tokens": TOKENS},
        **{name: _modes(rows, chosen) for name, rows in splits.items()},
    }
    return file, said


def _modes(rows: Routed, chosen: Thresholds) -> dict[str, Any]:
    """The three modes on one split, and what balanced loses against quality, with its error."""
    points = {"quality": QUALITY, "balanced": chosen, "cheap": CHEAP}
    return {
        **{name: rows.point(thresholds) for name, thresholds in points.items()},
        "lost": rows.spread(rows.on_cpu(chosen)),
    }


def main() -> None:
    """Fit the router, release it as a new version and print what each mode costs and loses."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    folder = arguments.models / "moderation"
    if arguments.of:
        artifacts = Artifacts.open(folder / arguments.of)
    else:
        artifacts = Artifacts.default("moderation", arguments.models)
    data = Data(artifacts, arguments.data, arguments.work)
    file, said = route(data, Spec(arguments.seen, arguments.ridge))
    path = derive_version(artifacts, arguments.version, {ROUTING: _json(file)}, {"routing": said})
    if arguments.plot:
        from ml.training.routing.plot import draw  # noqa: PLC0415 (needs matplotlib)

        draw(file["curve"]["dev"], said, arguments.plot)
    for split in ("dev", "test"):
        for mode, figures in said[split].items():
            print(split, mode, figures)
    print(f"wrote {path}; serve it with: echo {path.name} > {path.parent / 'default'}")


def _json(file: dict[str, Any]) -> str:
    """JSON with one term a line, so that versions can be compared by diff."""
    return json.dumps(file, ensure_ascii=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m ml.training.routing", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the splits")
    parser.add_argument("--version", required=True, help="name of the new version")
    parser.add_argument("--of", help="the version to route (default: the one served)")
    parser.add_argument("--models", type=Path, default=MODELS, help="where versions are kept")
    parser.add_argument("--work", type=Path, default=Path("var/routing"), help="tiers' answers")
    parser.add_argument("--plot", type=Path, help="draw the curve into this PNG (matplotlib)")
    parser.add_argument("--seen", type=int, default=Spec.seen, help="texts a term must be in")
    parser.add_argument("--ridge", type=float, default=Spec.ridge, help="strength of the penalty")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()

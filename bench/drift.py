"""`python -m bench.drift`: measures false alarms of drift reports, and which shifts they detect.

Production is drawn from the test split, which is not in the shipped reference, and answered by the
shipped model. Shifts are made to the texts themselves, which are then answered again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import machine
from bench.fleet import ROOT
from bench.languages import LATIN, OTHER_SCRIPTS
from ml.drift.comparison import DRIFT, compare
from ml.drift.reference import Reference, Row, row
from ml.moderation.pipeline import Moderation, pipeline
from ml.pipeline import Item
from ml.text import clean
from ml.training.data.rows import Split, read
from ml.training.evaluation import measure

MIX = 0.2  # share of texts in other languages
AT = 1_000  # rows of production in which a shift must be found
NONE = "none"

Generator = np.random.Generator
Draw = Callable[[Generator, int], Sequence[Row]]
Expected = Callable[[Generator], Reference]


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows to draw production from. truth: the label of each, as its class's index."""

    rows: Sequence[Row]
    truth: Sequence[int]

    def draw(self, generator: Generator, size: int) -> list[Row]:
        """Draw rows without repetition."""
        return self._rows(generator.choice(len(self.rows), size, replace=False))

    def doubled(self, of: Sequence[Any], what: Any, generator: Generator, size: int) -> list[Row]:
        """Draw with twice the share of rows that are `what` in `of`."""
        chosen = np.array([value == what for value in of])
        count = round(2 * chosen.mean() * size)
        own, others = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        first = generator.choice(own, count, replace=count > len(own))
        return self._rows(first) + self._rows(generator.choice(others, size - count, replace=False))

    def _rows(self, indices: Any) -> list[Row]:
        return [self.rows[n] for n in indices.tolist()]


class Answering:
    """Computes drift rows of texts with the shipped model, as a worker samples them.

    tier: the one that answers.
    """

    def __init__(self, pipeline: Moderation, tier: str) -> None:
        self._pipeline = pipeline
        self._name = tier
        self._tier = measure.load_tiers(pipeline.artifacts, "cpu")[tier]

    def rows(self, texts: Sequence[str]) -> list[Row]:
        items = [Item({"text": clean(text)}) for text in texts]
        features: Any = self._pipeline.features(items)
        scores = measure.score(self._tier, features)
        found = []
        for item, feature, of_item in zip(items, features, scores.tolist(), strict=True):
            best = int(np.argmax(of_item))
            said = {"label": self._pipeline.classes[best], "confidence": of_item[best]}
            figures = self._pipeline.drift_features(item, feature)
            found.append(row(figures, said | {"tier": self._name}))
        return found


def foreign(texts: Sequence[str], sentences: Sequence[str], generator: Generator) -> list[str]:
    """For each text a text of random sentences that is about as long."""
    made = []
    for text in texts:
        words = str(generator.choice(sentences))
        while len(words) < len(text):
            words += " " + str(generator.choice(sentences))
        made.append(words[: max(len(text), 8)])
    return made


def doubled(texts: Sequence[str]) -> list[str]:
    """Each text with another of about the same length appended."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    partners = np.roll(order, 1)
    behind = dict(zip(order.tolist(), partners.tolist(), strict=True))
    return [f"{text} {texts[behind[n]]}" for n, text in enumerate(texts)]


def mixed(usual: Pool, others: Pool, generator: Generator, size: int) -> list[Row]:
    """Rows of which a share MIX is replaced by others."""
    count = round(MIX * size)
    return usual.draw(generator, size - count) + others.draw(generator, count)


def shifts(split: Split, answering: Answering, generator: Generator) -> dict[str, Draw]:
    """Functions that draw production with a shift, by name; the first is without a shift."""
    classes = pipeline.classes
    pool = partial(Pool, truth=split.indices(classes))
    texts = split.texts
    usual = pool(answering.rows(texts))
    capitals = pool(answering.rows([text.upper() for text in texts]))
    longer = pool(answering.rows(doubled(texts)))
    abroad = pool(answering.rows(foreign(texts, LATIN + OTHER_SCRIPTS, generator)))
    latin = pool(answering.rows(foreign(texts, LATIN, generator)))
    labels = [one["class"] for one in usual.rows]
    found: dict[str, Draw] = {
        NONE: usual.draw,
        "all capitals": capitals.draw,
        "language mix 20 %": partial(mixed, usual, abroad),
        "language mix 20 %, Latin scripts": partial(mixed, usual, latin),
        "length doubled": longer.draw,
    }
    for n, name in enumerate(classes[1:], 1):
        found[f"share of answers {name} doubled"] = partial(usual.doubled, labels, name)
        found[f"share of texts labelled {name} doubled"] = partial(usual.doubled, usual.truth, n)
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of many reports. features: how often each was among the reasons for an alarm."""

    shift: str
    reference: str
    samples: int
    runs: int
    alarms: int
    features: Mapping[str, int]

    def line(self) -> str:
        reasons = sorted(self.features.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{name} {count / self.runs:.0%}" for name, count in reasons)
        share = f"{self.alarms / self.runs:.1%}"
        cells = (self.shift, self.reference, f"{self.samples:,}", str(self.runs), share, shown)
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Case:
    """A case: samples of `size` rows with a shift, each compared with a `reference`."""

    shift: str
    draw: Draw
    source: str
    reference: Expected
    size: int


def measured(case: Case, options: argparse.Namespace) -> Outcome:
    """Run the reports of a case."""
    generator = np.random.default_rng(options.seed)
    runs = options.runs if case.shift == NONE else options.shift_runs
    features: Counter[str] = Counter()
    alarms = 0
    for _ in range(runs):
        drawn, expected = case.draw(generator, case.size), case.reference(generator)
        found = compare(expected, drawn, options.q, options.min_effect, case.size)
        alarms += found.verdict == DRIFT
        features.update(one.name for one in found.drifted)
    return Outcome(case.shift, case.source, case.size, runs, alarms, features)


def study(options: argparse.Namespace) -> Iterator[Outcome]:
    """Measure false alarms at every size, also with new references; then each shift."""
    shipped = pipeline.drift_reference()
    if shipped is None:
        raise LookupError(f"{pipeline.version} has no drift reference")
    answering = Answering(pipeline, options.tier)
    test, dev = (read(options.data / f"{name}.csv.gz") for name in ("test", "dev"))
    draws = shifts(test, answering, np.random.default_rng(options.seed))
    others = Pool(answering.rows(dev.texts), dev.indices(pipeline.classes))
    for size in options.sizes:
        for source, reference in (
            ("shipped", lambda _: shipped),
            ("new each time", lambda generator: Reference.of(others.draw(generator, shipped.rows))),
        ):
            yield measured(Case(NONE, draws[NONE], source, reference, size), options)
    for name in list(draws)[1:]:
        yield measured(Case(name, draws[name], "shipped", lambda _: shipped, AT), options)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    print(
        f"{pipeline.name} {pipeline.version}, tier {options.tier}; {json.dumps(machine.describe())}"
    )
    print(f"q {options.q}, least effect {options.min_effect}, seed {options.seed}\n")
    print("| shift | reference | samples | runs | alarms | reasons |\n|---|---|---|---|---|---|")
    found = []
    for outcome in study(options):
        print(outcome.line(), flush=True)
        found.append(asdict(outcome))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.drift", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, default=ROOT / ".." / "shared" / "data", help="folder of the splits")
    add("--tier", default=pipeline.tiers[0].name, help="which answers")
    add("--runs", type=int, default=500, help="reports without a shift, at each size")
    add("--shift-runs", type=int, default=200, help="reports on each shift")
    add("--sizes", type=int, nargs="+", default=[500, AT, 2_000], help="rows without a shift")
    add("--q", type=float, default=0.02, help="as PENSTOCK_DRIFT_Q")
    add("--min-effect", type=float, default=0.1, help="as PENSTOCK_DRIFT_MIN_EFFECT")
    add("--seed", type=int, default=7)
    add("--threads", type=int, default=1, help="CPU threads of the model")
    add("--json", type=Path, help="write every figure to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

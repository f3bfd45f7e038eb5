"""Evaluates mixtures of cnn and transformer (quality, share, seconds) and chooses thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.moderation.router import Thresholds, doubt
from ml.training.metrics import Floats, Ints, macro_f1

BUDGET = 0.005  # of macro-F1 that a mixture may lose against the transformer for everything
ON_CPU = (
    0.605  # least share of items that the cnn is to answer on dev: the aim is 0.60, plus a margin
)
TOKENS = 0.395  # greatest share of tokens that the transformer may read on dev: the aim is 0.40
HOPELESS = 0.1  # share of texts the cnn may still answer where none is sent to it
DRAWS = 200  # of the bootstrap

QUALITY = Thresholds(0.0, 0.0, 0.0)  # the transformer for everything
CHEAP = Thresholds(1.1, 1e9, 0.0)  # the cnn for everything

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Routed:
    """A labelled split, row by row: the router's inputs, both tiers' answers and their cost.

    complexity, confidence (of the cnn): (N,). cnn, transformer: (N,) labels as indices.
    tokens: (N,). cnn_s, transformer_s: (N,) device seconds of each row.
    """

    truth: Ints
    sources: Sequence[str]
    texts: Sequence[str]
    complexity: Floats
    confidence: Floats
    cnn: Ints
    transformer: Ints
    tokens: Ints
    cnn_s: Floats
    transformer_s: Floats

    def doubt(self, tilt: float) -> Floats:
        """The doubt (N,) of the cnn's answers."""
        pairs = zip(self.texts, self.confidence.tolist(), strict=True)
        return np.array([doubt(text, confidence, tilt) for text, confidence in pairs])

    def on_cpu(self, chosen: Thresholds) -> Mask:
        """(N,), whether the cnn answers a row."""
        sure = self.doubt(chosen.tilt) < chosen.sure_below
        return (self.complexity < chosen.cpu_below) & sure

    def point(self, chosen: Thresholds) -> dict[str, float]:
        """One point of the curve: quality, share of items answered by the cnn, seconds per 1,000.

        cost: device seconds, those of both lanes at one price, against the transformer's for all.
        """
        asked, cpu = self.complexity < chosen.cpu_below, self.on_cpu(chosen)
        cpu_s, gpu_s = self.cnn_s[asked].sum(), self.transformer_s[~cpu].sum()
        figures = {
            "sure_below": chosen.sure_below,
            "asked": asked.mean(),
            "on_cpu": cpu.mean(),
            "gpu_tokens": self.gpu_tokens(cpu),
            **self.quality(np.where(cpu, self.cnn, self.transformer)),
            "cpu_s": 1000 * cpu_s / len(cpu),
            "gpu_s": 1000 * gpu_s / len(cpu),
            "cost": (cpu_s + gpu_s) / self.transformer_s.sum(),
        }
        return {name: round(float(value), 5) for name, value in figures.items()}

    def gpu_tokens(self, cpu: Mask) -> float:
        """Share of all tokens that the transformer reads."""
        return float(self.tokens[~cpu].sum() / self.tokens.sum())

    def quality(self, labels: Ints) -> dict[str, float]:
        """Macro-F1, mean over sources and pooled, of these labels."""
        source = np.array(self.sources)
        each = [macro_f1(self.truth[source == s], labels[source == s]) for s in np.unique(source)]
        return {"mean_source_f1": float(np.mean(each)), "macro_f1": macro_f1(self.truth, labels)}

    def lost(self, cpu: Mask) -> dict[str, float]:
        """By how much each macro-F1 falls if the cnn answers the rows in `cpu`."""
        whole = self.quality(self.transformer)
        mixed = self.quality(np.where(cpu, self.cnn, self.transformer))
        return {name: whole[name] - mixed[name] for name in whole}

    def spread(self, cpu: Mask, seed: int = 7) -> dict[str, float]:
        """`lost`, and its standard error: the paired bootstrap, rows drawn within each source."""
        source, generator = np.array(self.sources), np.random.default_rng(seed)
        groups = [np.flatnonzero(source == s) for s in np.unique(source)]
        draws = []
        for _ in range(DRAWS):
            drawn = np.concatenate([generator.choice(group, len(group)) for group in groups])
            draws.append(list(self._only(drawn).lost(cpu[drawn]).values()))
        found = self.lost(cpu)
        errors = zip(found, np.std(draws, axis=0).tolist(), strict=True)
        both = {**found, **{f"{name}_error": error for name, error in errors}}
        return {name: round(value, 5) for name, value in both.items()}

    def _only(self, rows: Ints) -> Routed:
        """Some of the rows."""
        chosen = {f.name: np.asarray(getattr(self, f.name))[rows] for f in fields(self)}
        return Routed(**chosen)  # type: ignore[arg-type]


def choose(dev: Routed) -> Thresholds:
    """The fewest items on the CPU that reach both aims, since fewer items cost less quality.

    With more tilt fewer items suffice for TOKENS, until ON_CPU requires more of them.

    Raises:
        ValueError: so many items lose more than the budget on dev.
    """
    found = _reaching(dev, 0.0)
    for tilt in np.arange(0.05, 1.01, 0.05).round(2).tolist():
        candidate = _reaching(dev, tilt)
        if dev.on_cpu(candidate).sum() >= dev.on_cpu(found).sum():
            break
        found = candidate
    lost = dev.lost(dev.on_cpu(found))
    if max(lost.values()) > BUDGET:
        raise ValueError(f"the aims cost too much quality on dev: {lost}, the budget is {BUDGET}")
    return found


def _reaching(dev: Routed, tilt: float) -> Thresholds:
    """The least use of the CPU, in steps of 1/400 of the items, that reaches both aims."""
    doubts = dev.doubt(tilt)
    for share in np.arange(0.5, 1.0, 0.0025):
        below = float(f"{np.quantile(doubts, share):.4g}")
        chosen = Thresholds(_cpu_below(dev, doubts < below), below, tilt)
        cpu = dev.on_cpu(chosen)
        if cpu.mean() >= ON_CPU and dev.gpu_tokens(cpu) <= TOKENS:
            break
    return chosen


def _cpu_below(dev: Routed, sure: Mask) -> float:
    """The complexity above which the cnn would answer hardly any text."""
    order = np.argsort(-dev.complexity, kind="stable")
    hopeless = np.flatnonzero(np.cumsum(sure[order]) / np.arange(1, len(order) + 1) <= HOPELESS)
    return round(float(dev.complexity[order[hopeless[-1]]]), 4) if len(hopeless) else 1.0


def curve(rows: Routed, chosen: Thresholds) -> list[dict[str, Any]]:
    """Points from the transformer for everything over the chosen one to the cnn for everything."""
    doubts = rows.doubt(chosen.tilt)
    shares = np.arange(0.05, 1, 0.05)
    between = {float(f"{np.quantile(doubts, share):.4g}") for share in shares}
    points = [replace(chosen, sure_below=b) for b in sorted({*between, chosen.sure_below})]
    return [rows.point(point) for point in (QUALITY, *points, CHEAP)]

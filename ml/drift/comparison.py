"""Compares production features with a drift reference: significance tests and effect sizes.

A feature has drifted if its difference is statistically significant (two-sample Kolmogorov-Smirnov
test of figures, chi-square test of classes; over all features at most a share `q` of the alarms is
false, Benjamini and Hochberg 1995) and is also large enough to matter (`min_effect`): among
thousands of rows even tiny differences are significant.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ml.drift import wording
from ml.drift.reference import CLASS, CONFIDENCE, TIER, Reference, Row

DRIFT: Final = "drift"
OK: Final = "ok"
NOT_ENOUGH: Final = "not_enough_data"

BINS: Final = 16  # of a histogram
LEAST_EXPECTED: Final = 5.0  # items of a class, below which the chi-square test misjudges it
OTHER: Final = "(other)"  # classes too rare to be tested by themselves
_FLOOR: Final = 1e-4  # least share in a PSI, or an empty bin would make it infinite

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares 0..1 by bin. bins: names of classes; or edges, one more than there are shares.

    A value beyond an outer edge is counted in the outermost bin.
    """

    bins: Sequence[float] | Sequence[str]
    reference: Sequence[float]
    production: Sequence[float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One feature. The figures are None if there was not enough data.

    statistic: D of the Kolmogorov-Smirnov test, or chi-square. effect: D, 0..1, or Cohen's w of
    classes: the root of the sum of (production share - reference share)^2 / reference share.
    psi: population stability index, for those who are used to it; it decides nothing.
    """

    name: str
    test: str
    samples: int
    verdict: str
    text: str
    statistic: float | None = None
    p: float | None = None
    q: float | None = None
    effect: float | None = None
    psi: float | None = None
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """verdict: DRIFT if any feature drifted, NOT_ENOUGH if none could be compared, else OK.

    tier: the one whose confidence and classes were compared, as it gave most of the answers.
    """

    verdict: str
    text: str
    samples: int
    min_samples: int
    reference_rows: int
    tier: str | None
    features: Sequence[Finding]

    @property
    def drifted(self) -> list[Finding]:
        return [found for found in self.features if found.verdict == DRIFT]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    reference: Reference,
    production: Sequence[Row],
    q: float = 0.02,
    min_effect: float = 0.1,
    min_samples: int = 500,
) -> Report:
    """Compare every feature of `reference` with `production`.

    q: share of false alarms among alarms, 0..1. min_effect: least effect that counts.
    min_samples: a feature with fewer rows is not judged.
    """
    tier = _usual_tier(production)
    found = list(_tested(reference, production, tier, min_samples))
    judged = _judged(found, q, min_effect)
    verdict = _overall(judged)
    words = wording.summary(
        [one.name for one in judged if one.verdict == DRIFT],
        len(production),
        None if verdict != NOT_ENOUGH else min_samples,
    )
    return Report(verdict, words, len(production), min_samples, reference.rows, tier, judged)


def _usual_tier(production: Sequence[Row]) -> str | None:
    counted = Counter(row[TIER] for row in production).most_common(1)
    return counted[0][0] if counted else None


def _overall(judged: Sequence[Finding]) -> str:
    verdicts = {found.verdict for found in judged}
    if DRIFT in verdicts:
        return DRIFT
    return OK if OK in verdicts else NOT_ENOUGH


def _tested(
    reference: Reference, production: Sequence[Row], tier: str | None, least: int
) -> Iterator[Finding]:
    for name, expected in reference.features.items():
        values = [row[name] for row in production if name in row]
        yield _of_figures(name, expected, values, least)
    answers = reference.answers.get(tier or "")
    if answers is None:
        return
    own = [row for row in production if row[TIER] == tier]
    if answers.confidence:
        values = [row[CONFIDENCE] for row in own if CONFIDENCE in row]
        yield _of_figures(CONFIDENCE, answers.confidence, values, least)
    if answers.classes:
        yield _of_classes(answers.classes, Counter(r[CLASS] for r in own if CLASS in r), least)


def _of_figures(
    name: str, expected: Sequence[float], values: Sequence[float], least: int
) -> Finding:
    if len(values) < least:
        return _unknown(name, "kolmogorov-smirnov", len(values), least)
    before, now = np.asarray(expected, float), np.asarray(values, float)
    # The exact distribution takes seconds at these sizes; with ties both err to the safe side.
    test = stats.ks_2samp(before, now, method="asymp")
    distance = float(test.statistic)
    return Finding(
        name=name,
        test="kolmogorov-smirnov",
        samples=len(now),
        verdict=OK,
        text=wording.of_figures(name, before, now),
        statistic=distance,
        p=float(test.pvalue),
        effect=distance,
        psi=_psi(*_in_tenths(before, now)),
        histogram=_histogram(before, now),
    )


def _of_classes(expected: Mapping[str, int], found: Mapping[str, int], least: int) -> Finding:
    samples = sum(found.values())
    if samples < least:
        return _unknown(CLASS, "chi-square", samples, least)
    names = sorted({*expected, *found}, key=lambda name: -expected.get(name, 0))
    before, now = (np.array([of.get(name, 0) for name in names]) for of in (expected, found))
    shares = before / before.sum(), now / now.sum()
    table = _without_rare(np.array([before, now], float))
    statistic, p = _chi_square(table)
    return Finding(
        name=CLASS,
        test="chi-square",
        samples=samples,
        verdict=OK,
        text=wording.of_classes(names, *shares),
        statistic=statistic,
        p=p,
        effect=_cohens_w(table),
        psi=_psi(*shares),
        histogram=Histogram(names, _rounded(shares[0]), _rounded(shares[1])),
    )


def _unknown(name: str, test: str, samples: int, least: int) -> Finding:
    return Finding(name, test, samples, NOT_ENOUGH, wording.not_enough(name, samples, least))


def _without_rare(table: Floats) -> Floats:
    """(2, C) counts, with all classes whose expected count is too small merged into one column."""
    expected = table.sum(0) * table.sum(1).min() / table.sum()
    rare = expected < LEAST_EXPECTED
    if not rare.any():
        return table
    return np.column_stack([table[:, ~rare], table[:, rare].sum(1)])


def _chi_square(table: Floats) -> tuple[float, float]:
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    statistic, p, *_ = stats.chi2_contingency(table, correction=False)
    return float(statistic), float(p)


def _cohens_w(table: Floats) -> float:
    """Effect of a chi-square test against given shares (Cohen 1988): 0.1 small, 0.3 medium."""
    before = np.maximum(table[0], 1) / table[0].sum()
    now = table[1] / table[1].sum()
    return float(math.sqrt(((now - before) ** 2 / before).sum()))


def _in_tenths(before: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Shares by bin; each bin holds a tenth of the reference, or more where values are equal."""
    edges = np.unique(np.quantile(before, np.arange(0.1, 1.0, 0.1)))
    size = len(edges) + 1
    assigned = (np.searchsorted(edges, values, side="left") for values in (before, now))
    first, second = (np.bincount(bins, minlength=size) / len(bins) for bins in assigned)
    return first, second


def _psi(before: Floats, now: Floats) -> float:
    first, second = np.maximum(before, _FLOOR), np.maximum(now, _FLOOR)
    return float(((second - first) * np.log(second / first)).sum())


def _histogram(before: Floats, now: Floats) -> Histogram:
    both = np.concatenate([np.quantile(of, [0.005, 0.995]) for of in (before, now)])
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts = (np.histogram(np.clip(of, edges[0], edges[-1]), edges)[0] for of in (before, now))
    first, second = (_rounded(count / count.sum()) for count in counts)
    return Histogram([round(edge, 6) for edge in edges.tolist()], first, second)


def _rounded(shares: Floats) -> list[float]:
    return [round(share, 5) for share in shares.tolist()]


def _judged(found: Sequence[Finding], q: float, min_effect: float) -> list[Finding]:
    """The tested features with their q-values, verdicts and reasons."""
    ps = [one.p for one in found if one.p is not None]
    adjusted = iter(stats.false_discovery_control(ps).tolist() if ps else [])
    return [one if one.p is None else _verdict(one, next(adjusted), q, min_effect) for one in found]


def _verdict(found: Finding, adjusted: float, q: float, min_effect: float) -> Finding:
    sure, large = adjusted <= q, (found.effect or 0) >= min_effect
    verdict = DRIFT if sure and large else OK
    text = wording.judged(found.text, sure, large, found.effect or 0, min_effect)
    return replace(found, q=adjusted, verdict=verdict, text=text)

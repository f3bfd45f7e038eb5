"""What a batch adds to the counts in Redis, written by the script that commits it (series.lua)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml.outcomes import Verdict
from tasks.series import CONFIDENCE_BOUNDS, join

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
NONE, MIXED, OTHER = "none", "mixed", "other"

Answer = Mapping[str, Any]  # {"output": ..., "error": ...}


@dataclass(frozen=True, slots=True)
class Tally:
    """What one unit adds, if its commit is taken.

    answered: pipeline|tier|model version of its answers, for the durations of its job. counts: a
    line per series. from_cache: items whose answer was known. device_us: its share of the batch's.
    """

    answered: str
    counts: str = ""
    from_cache: int = 0
    device_us: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """One item's answer, as it is counted.

    cached: it was known. asked: it was looked up among the known ones, but had to be computed.
    """

    answer: Answer
    cached: bool = False
    asked: bool = False


def tally(pipeline: str, lane: str, items: Sequence[Counted], device_us: int) -> Tally:
    """Count a unit's answers."""
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for item in items:
        seen.add(_count(counts, pipeline, lane, item))
    known = seen - {(NONE, NONE)}
    tier, version = known.pop() if len(known) == 1 else (MIXED if known else NONE,) * 2
    return Tally(
        join(pipeline, tier, version),
        lines(counts),
        sum(item.cached for item in items),
        device_us,
    )


def device_time(pipeline: str, lane: str, verdicts: Iterable[Verdict]) -> Counter[str]:
    """Microseconds that each tier ran, by series."""
    spent: Counter[str] = Counter()
    for verdict in verdicts:
        spent[join("device", pipeline, lane, verdict.tier)] += round(verdict.seconds * 1e6)
    return spent


def lines(counts: Mapping[str, int]) -> str:
    """As series.lua reads them."""
    return "\n".join(f"{series} {amount}" for series, amount in counts.items() if amount > 0)


def _count(counts: Counter[str], pipeline: str, lane: str, item: Counted) -> tuple[str, str]:
    """Returns the tier and the model version that answered."""
    output = item.answer["output"]
    if item.cached or item.asked:
        counts[join("cache_hits" if item.cached else "cache_misses", pipeline)] += 1
    if output is None:
        counts[join("predictions", pipeline, NONE, NONE, "failed")] += 1
        return NONE, NONE
    tier, version = str(output.get("tier", NONE)), str(output.get("model_version", NONE))
    status = "cached" if item.cached else "degraded" if output.get("degraded") else "succeeded"
    counts[join("predictions", pipeline, tier, version, status)] += 1
    if not item.cached:
        counts[join("items", pipeline, lane, tier)] += 1
    if status == "degraded":
        for reason in str(output.get("reason")).split("; "):
            word = reason if _WORD.fullmatch(reason) else OTHER
            counts[join("degraded", pipeline, word)] += 1
    _count_confidence(counts, join("confidence", pipeline, tier, version), output)
    return tier, version


def _count_confidence(counts: Counter[str], series: str, output: Mapping[str, Any]) -> None:
    confidence = output.get("confidence")
    if isinstance(confidence, float | int):
        counts[f"{series}|{bisect_left(CONFIDENCE_BOUNDS, confidence) + 1}"] += 1
        counts[f"{series}|sum"] += max(0, round(confidence * 1e6))

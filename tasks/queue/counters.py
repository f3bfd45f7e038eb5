"""Counters of a batch: what its commit adds to the metrics series in Redis (series.lua)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from ml.serving.outcomes import Verdict
from tasks.store.series import CONFIDENCE_BOUNDS, MIXED, NONE, OTHER, series_key

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")

Answer = Mapping[str, Any]  # {"output": ..., "error": ...}


@dataclass(frozen=True, slots=True)
class UnitCounters:
    """What one unit adds to the counters, if its commit is accepted.

    answered: pipeline|tier|model version of its answers, for the durations of its job. counts: one
    line per series. from_cache: items answered from the result cache. device_us: its share of the
    batch's device time, microseconds.
    """

    answered: str
    counts: str = ""
    from_cache: int = 0
    device_us: int = 0


@dataclass(frozen=True, slots=True)
class CountedAnswer:
    """One item's answer and how it was found.

    cached: it came from the result cache. asked: it was looked up there, but had to be computed.
    """

    answer: Answer
    cached: bool = False
    asked: bool = False


def count_unit(
    pipeline: str, lane: str, items: Sequence[CountedAnswer], device_us: int
) -> UnitCounters:
    """Count a unit's answers, by tier, model version, status and confidence."""
    counts: Counter[str] = Counter()
    for kind, number in Counter(map(_kind, items)).items():
        for series in _series(pipeline, lane, kind):
            counts[series] += number
    _add_confidences(counts, pipeline, items)
    known = {(_tier(item), _version(item)) for item in items if item.answer["output"]}
    tier, version = known.pop() if len(known) == 1 else (MIXED if known else NONE,) * 2
    return UnitCounters(
        series_key(pipeline, tier, version),
        lines(counts),
        sum(item.cached for item in items),
        device_us,
    )


def device_time(pipeline: str, lane: str, verdicts: Iterable[Verdict]) -> Counter[str]:
    """Microseconds that each tier ran on the device, by series."""
    spent: Counter[str] = Counter()
    for verdict in verdicts:
        spent[series_key("device", pipeline, lane, verdict.tier)] += round(verdict.seconds * 1e6)
    return spent


def lines(counts: Mapping[str, int]) -> str:
    """Counts as series.lua reads them: one line per series, without zeros."""
    return "\n".join(f"{series} {amount}" for series, amount in counts.items() if amount > 0)


class _Kind(NamedTuple):
    """What is counted of an answer.

    bucket: of its confidence; 0 if it has none. looked_up: the cache's series, if it was looked up.
    """

    tier: str
    version: str
    status: str
    reasons: str
    bucket: int
    looked_up: str


def _kind(item: CountedAnswer) -> _Kind:
    output = item.answer["output"]
    looked_up = "cache_hits" if item.cached else "cache_misses" if item.asked else ""
    if output is None:
        return _Kind(NONE, NONE, "failed", "", 0, looked_up)
    degraded = bool(output.get("degraded"))
    status = "cached" if item.cached else "degraded" if degraded else "succeeded"
    reasons = str(output.get("reason")) if status == "degraded" else ""
    confidence = output.get("confidence")
    bucket = 0
    if isinstance(confidence, float | int):
        bucket = bisect_left(CONFIDENCE_BOUNDS, confidence) + 1
    return _Kind(_tier(item), _version(item), status, reasons, bucket, looked_up)


@lru_cache(maxsize=4_096)
def _series(pipeline: str, lane: str, kind: _Kind) -> tuple[str, ...]:
    """The series that an answer of this kind adds one to."""
    tier, version, status, reasons, bucket, looked_up = kind
    found = [series_key("predictions", pipeline, tier, version, status)]
    if status in ("succeeded", "degraded"):
        found.append(series_key("items", pipeline, lane, tier))
    if bucket:
        found.append(series_key("confidence", pipeline, tier, version, str(bucket)))
    if looked_up:
        found.append(series_key(looked_up, pipeline))
    words = (word if _WORD.fullmatch(word) else OTHER for word in reasons.split("; ") if word)
    found += [series_key("degraded", pipeline, word) for word in words]
    return tuple(found)


def _add_confidences(counts: Counter[str], pipeline: str, items: Sequence[CountedAnswer]) -> None:
    """Add the sums of confidences, in millionths: Redis counts whole numbers."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for item in items:
        confidence = (item.answer["output"] or {}).get("confidence")
        if isinstance(confidence, float | int):
            sums[_tier(item), _version(item)] += confidence
    for (tier, version), total in sums.items():
        counts[series_key("confidence", pipeline, tier, version, "sum")] += max(
            0, round(total * 1e6)
        )


def _tier(item: CountedAnswer) -> str:
    return str(item.answer["output"].get("tier", NONE))


def _version(item: CountedAnswer) -> str:
    return str(item.answer["output"].get("model_version", NONE))

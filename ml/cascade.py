"""Trying tiers in order until each item has an answer.

A tier that is too slow passes its batch to the tier below (reason "timeout"), and is skipped
while that call is still stuck. A tier that raises passes on only the members it cannot predict
(reason "model_error"). No item falls below its floor, the `min_tier` its client accepts.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ml.isolate import Failed, StopBisecting, isolated
from ml.outcomes import ItemError
from ml.pipeline import Features, Prediction, Tier
from ml.timed import CallTimeout, TimedCaller

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, the tier that made it, and why no better tier did (None: it was the top)."""

    prediction: Prediction
    tier: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """One item's features and the lowest tier, counted from 0 at the top, it may be given."""

    features: Features
    floor: int


class LoadedTier:
    """A tier in memory, called under its time limit."""

    def __init__(self, name: str, tier: Tier, timeout_s: float) -> None:
        self.name = name
        self.tier = tier
        timed = not math.isinf(timeout_s)
        self.caller = TimedCaller(tier.predict, timeout_s, f"tier {name}") if timed else None

    def predict(self, batch: Sequence[Features]) -> list[Prediction | Failed]:
        """A prediction of finite scores or a failure per member, in order."""
        return [_finite(result) for result in isolated(self._call, batch)]

    def _call(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        if self.caller is None:
            return self.tier.predict(batch)
        try:
            return self.caller(batch)
        except CallTimeout as error:
            raise StopBisecting(str(error)) from error


class Cascade:
    """Tiers from the top one that this process runs down to the last."""

    def __init__(self, tiers: Sequence[LoadedTier]) -> None:
        self.tiers = tuple(tiers)

    def answer(self, members: Sequence[Member]) -> list[Answer | ItemError]:
        """An answer or an error per member, in order. Never raises for a member's sake."""
        answers: list[Answer | ItemError | None] = [None] * len(members)
        reasons: dict[int, str] = {}
        failures: dict[int, Failed] = {}
        pending = list(range(len(members)))
        for level, tier in enumerate(self.tiers):
            tried = [n for n in pending if members[n].floor >= level]
            if not tried:
                break
            results = tier.predict([members[n].features for n in tried])
            pending = []
            for n, result in zip(tried, results, strict=True):
                if isinstance(result, Failed):
                    failures[n] = result
                    reasons.setdefault(n, _reason(result))
                    pending.append(n)
                else:
                    answers[n] = Answer(result, tier.name, reasons.get(n))
            self._report(tier, [failures[n] for n in pending])
        return [
            answer if answer is not None else self._error(members[n], failures.get(n))
            for n, answer in enumerate(answers)
        ]

    def _error(self, member: Member, failed: Failed | None) -> ItemError:
        if failed is None:
            names = ", ".join(tier.name for tier in self.tiers)
            return ItemError(
                "tier_unavailable", f"its min_tier is better than any this worker runs: {names}"
            )
        if member.floor < len(self.tiers) - 1:
            lowest = self.tiers[member.floor].name
            return ItemError(
                "tier_unavailable", f"no tier from its min_tier {lowest!r} up answered: {failed}"
            )
        return ItemError(_reason(failed), str(failed))

    def _report(self, tier: LoadedTier, failed: Sequence[Failed]) -> None:
        if failed:
            log.warning("tier %s failed %d items: %s", tier.name, len(failed), failed[0])


def _finite(result: Prediction | Failed) -> Prediction | Failed:
    if isinstance(result, Failed) or math.isfinite(sum(result.scores.values())):
        return result
    return Failed(ValueError("the model gave a score that is not finite"))


def _reason(failed: Failed) -> str:
    return "timeout" if isinstance(failed.error, StopBisecting) else "model_error"

"""The cascade: tries tiers in order until each item has an answer.

A tier that is too slow passes its batch to the tier below (reason "timeout"), and is skipped
while that call is still stuck. A tier that raises passes on only the members it cannot predict
(reason "model_error"). A tier may be skipped (reason "breaker_open") for members that another tier
may answer. No item is answered by a tier below the `min_tier` that its client accepts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ml.pipeline import Features, Prediction
from ml.serving.error_causes import error_location
from ml.serving.isolation import Failed, StopBisecting
from ml.serving.loaded_tier import LoadedTier
from ml.serving.outcomes import Failure, ItemError, Verdict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, the tier that made it, and why no better tier did (None: it was the top)."""

    prediction: Prediction
    tier: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """One item's features and the lowest tier that may answer it, counted from 0 at the top."""

    features: Features
    floor: int


class Cascade:
    """The tiers of a pipeline from the top one that this process runs down to the last."""

    def __init__(self, tiers: Sequence[LoadedTier]) -> None:
        self.tiers = tuple(tiers)

    def answer(
        self, members: Sequence[Member], skip: Collection[str] = ()
    ) -> tuple[list[Answer | ItemError], list[Verdict]]:
        """An answer or an error per member, in order, and a verdict per tier that was called.

        skip: names of tiers to skip. Failures of members are returned, not raised.

        Raises:
            ml.serving.device_faults.DeviceLost: the device failed; nothing can be computed here.
        """
        asked = _Asked(members)
        verdicts: list[Verdict] = []
        for level, tier in enumerate(self.tiers):
            pass_over = tier.name in skip and level < len(self.tiers) - 1
            if tried := asked.at(level, pass_over):
                began_ns, began = time.time_ns(), time.perf_counter()
                results = tier.predict([members[n].features for n in tried])
                seconds = time.perf_counter() - began
                failed = asked.take(tier.name, tried, results)
                answered = len(failed) < len(tried)
                verdicts.append(Verdict(tier.name, answered, seconds, failed, began_ns))
                if failed:
                    first = error_location(failed[0].error)
                    log.warning("tier %s failed %d items: %s", tier.name, len(failed), first)
        answers = [
            answer or self._error(member, failed)
            for answer, member, failed in zip(asked.answers, members, asked.failed, strict=True)
        ]
        return answers, verdicts

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


class _Asked:
    """State of each member while the tiers are tried."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.answers: list[Answer | None] = [None] * len(members)
        self.failed: list[Failed | None] = [None] * len(members)
        self._reasons: list[str | None] = [None] * len(members)
        self._floors = [member.floor for member in members]

    def at(self, level: int, pass_over: bool) -> list[int]:
        """The members to try a tier on: if it is to be skipped, those that have no other."""
        tried = []
        for n, floor in enumerate(self._floors):
            if self.answers[n] or floor < level:
                continue
            if pass_over and floor > level:
                self._reasons[n] = self._reasons[n] or "breaker_open"
            else:
                tried.append(n)
        return tried

    def take(
        self, tier: str, tried: Sequence[int], results: Sequence[Prediction | Failed]
    ) -> tuple[Failure, ...]:
        """Keep a tier's results; returns the failures among them."""
        failures = []
        for n, result in zip(tried, results, strict=True):
            if isinstance(result, Failed):
                self.failed[n] = result
                failures.append(Failure(n, tier, result.error))
                self._reasons[n] = self._reasons[n] or _reason(result)
            else:
                self.answers[n] = Answer(result, tier, self._reasons[n])
        return tuple(failures)


def _reason(failed: Failed) -> str:
    return "timeout" if isinstance(failed.error, StopBisecting) else "model_error"

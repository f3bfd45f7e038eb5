"""A tier in memory, called under its time limit and in batches that fit the device's memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from ml.pipeline import Features, Prediction, Tier
from ml.serving.device_faults import DeviceLost, device_lost, free_cached_memory, out_of_memory
from ml.serving.isolation import Failed, StopBisecting, isolated
from ml.serving.packing import pack
from ml.serving.time_limit import CallTimeout, TimedCaller

log = logging.getLogger(__name__)


class LoadedTier:
    """A tier called under its time limit, with batches that its device has memory for.

    budget: padded tokens (members times the longest) of the largest batch to try; it starts
    without bound and is halved by each batch that ran out of memory, for the life of the process.
    """

    def __init__(self, name: str, tier: Tier, timeout_s: float) -> None:
        self.name = name
        self.tier = tier
        self.budget: int | None = None
        timed = not math.isinf(timeout_s)
        self.caller = TimedCaller(tier.predict, timeout_s, f"tier {name}") if timed else None

    def predict(self, batch: Sequence[Features]) -> list[Prediction | Failed]:
        """A prediction of finite scores or a failure per member, in order.

        Raises:
            DeviceLost: the device failed; nothing more can be computed in this process.
        """
        if self.budget is None:
            return [_sound(result) for result in isolated(self._call, batch)]
        results: dict[int, Prediction | Failed] = {}
        for part in pack([member.cost for member in batch], self.budget, len(batch)):
            answers = isolated(self._call, [batch[n] for n in part])
            results.update(zip(part, map(_sound, answers), strict=True))
        return [results[n] for n in range(len(batch))]

    @property
    def stuck_s(self) -> float:
        """Seconds that a call has gone on beyond its time limit; 0 if none does."""
        return self.caller.overdue_s if self.caller else 0.0

    def _call(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        try:
            return self.caller(batch) if self.caller else self.tier.predict(batch)
        except CallTimeout as error:
            raise StopBisecting(str(error)) from error
        except Exception as error:
            if out_of_memory(error):
                self._lower_budget(batch)
            elif device_lost(error):
                raise DeviceLost(f"tier {self.name}: {error}") from error
            raise

    def _lower_budget(self, batch: Sequence[Features]) -> None:
        free_cached_memory()
        if len(batch) == 1:  # one long text is no measure for batches of short ones
            return
        half = max(1, len(batch) * max(member.cost for member in batch) // 2)
        if self.budget is None or half < self.budget:
            self.budget = half
            log.warning("tier %s ran out of memory: batches of %d tokens now", self.name, half)


def _sound(result: Prediction | Failed) -> Prediction | Failed:
    if isinstance(result, Failed):
        return result
    try:
        finite = math.isfinite(sum(result.scores.values()))
    except (AttributeError, TypeError) as error:
        return Failed(error)
    if finite:
        return result
    return Failed(ValueError("the model gave a score that is not finite"))

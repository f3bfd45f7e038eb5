"""The routed pipeline at the pace of a real model, so that a kill lands in mid-batch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ml.pipeline import Features, Prediction, TierRef
from tests.tasks.routed import Big, Routed


class Paced(Big):
    def predict(self, batch: Sequence[Features]) -> Sequence[Prediction]:
        time.sleep(0.002 * len(batch))
        return super().predict(batch)


class PacedRouted(Routed):
    tiers = (
        TierRef("big", "tests.faults.paced:Paced", timeout_s=60),
        TierRef("small", "tests.faults.paced:Paced", timeout_s=60),
    )


routed = PacedRouted()

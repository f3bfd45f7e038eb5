"""Names the tiers of moderation with import path and time limit; imports none of them."""

from __future__ import annotations

from typing import Final

from ml.pipeline import TierRef
from ml.registry import Artifacts

# The limits are for a CPU whose cores are shared: a budget of 512 tokens takes the int8 transformer
# about 50 ms on one idle core.
_ALL: Final = (
    TierRef("transformer", "ml.moderation.models.transformer_tier:TransformerTier", timeout_s=5.0),
    TierRef("cnn", "ml.moderation.models.cnn:CnnTier", timeout_s=2.0),
    TierRef("rules", "ml.moderation.models.rules:RulesTier", timeout_s=2.0),
)


def tiers_of(artifacts: Artifacts) -> tuple[TierRef, ...]:
    """The tiers that a model version has weights for, best first."""
    return tuple(ref for ref in _ALL if ref.name in artifacts.manifest["tiers"])

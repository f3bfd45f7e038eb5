"""The tiers of moderation by name; imports none of them."""

from __future__ import annotations

from typing import Final

from ml.pipeline import TierRef
from ml.registry import Artifacts

_ALL: Final = (
    TierRef("transformer", "ml.moderation.transformer_tier:TransformerTier", timeout_s=2.0),
    TierRef("cnn", "ml.moderation.cnn:CnnTier", timeout_s=0.5),
    TierRef("rules", "ml.moderation.rules:RulesTier", timeout_s=0.5),
)


def tiers_of(artifacts: Artifacts) -> tuple[TierRef, ...]:
    """The tiers that a model version has weights for, best first."""
    return tuple(ref for ref in _ALL if ref.name in artifacts.manifest["tiers"])

"""Outcomes of items (output or error), and verdicts: how each call of a tier went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why an item has no output.

    code: feature_error (its features cannot be computed), model_error (every tier failed on it),
    timeout (no tier answered in time), tier_unavailable (none at or above its `min_tier` runs
    here or answered) or postprocess_error.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One item's answer: either the `output` object of the HTTP contract or an error.

    sure: False if the pipeline prefers to ask its best tier instead of giving this answer.
    """

    output: dict[str, Any] | None
    error: ItemError | None
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a pipeline's code on an item, whether or not a lower tier answered it.

    index: of the item among those that were run, or tried. stage: a tier's name,
    "features" or "postprocess".
    """

    index: int
    stage: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one call of a tier: whether it answered any member, its time, its failures.

    began_ns: since the epoch, by this machine's clock.
    """

    tier: str
    answered: bool
    seconds: float = field(default=0.0, compare=False)
    failures: tuple[Failure, ...] = field(default=(), compare=False)
    began_ns: int = field(default=0, compare=False)

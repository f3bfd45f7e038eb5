"""The caller of a request: owner, key, scopes and limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OWNER_PATTERN: Final = r"[A-Za-z0-9_-]{1,64}"


class Scope(StrEnum):
    """What a key gives access to.

    jobs: its owner's jobs and webhooks. metrics: what monitoring reads. admin: both, the usage and
    cost of any owner and of the whole fleet, and on the console any owner's jobs.
    """

    JOBS = "jobs"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of a key: two rates, and how many items may be unfinished at once."""

    requests_per_s: int
    items_per_s: int
    unfinished_items: int


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a valid key. owner: whose jobs it may see. key_id: public, may be logged."""

    owner: str
    key_id: str
    scopes: frozenset[Scope]
    limits: KeyLimits

    def may(self, scope: Scope) -> bool:
        """Whether the key has the scope; admin includes the others."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

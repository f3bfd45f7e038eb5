"""Who is asking, and how much they may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OWNER_PATTERN: Final = r"[A-Za-z0-9_-]{1,64}"


class Scope(StrEnum):
    """What a key opens. metrics: what monitoring reads. admin: everything, of its own owner, and
    what any owner and the whole fleet used and cost; on the console, any owner's jobs.
    """

    JOBS = "jobs"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """requests_per_s and items_per_s are rates; unfinished_items counts what has not ended yet."""

    requests_per_s: int
    items_per_s: int
    unfinished_items: int


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a valid key. owner: whose jobs it sees. key_id: public, fit for logs."""

    owner: str
    key_id: str
    scopes: frozenset[Scope]
    limits: KeyLimits

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

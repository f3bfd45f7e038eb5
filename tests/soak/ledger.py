"""What clients were promised and told, and whether the service agrees in the end.

A job is lost if its record is gone or has not ended; doubled if two jobs answer to one key, or if
more jobs ended than were accepted; changed if its end is not the one that its client saw; wrong if
it ended as it must not, or with the answer to another question.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tasks.jobs.model import Job, Status
from tasks.jobs.read import read_jobs
from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks.links import job_document

AT_ONCE = 500
SHOWN = 5


class Kind(StrEnum):
    """What is asked for; its ends are those that it may have."""

    PLAIN = "plain"
    BULK = "bulk"
    TWICE = "submitted twice"
    CANCELLED = "cancelled"
    DEADLINE = "with a deadline"
    POISON = "poison"


ENDS: Mapping[Kind, frozenset[Status]] = {
    Kind.PLAIN: frozenset({Status.SUCCEEDED}),
    Kind.BULK: frozenset({Status.SUCCEEDED}),
    Kind.TWICE: frozenset({Status.SUCCEEDED}),
    Kind.CANCELLED: frozenset({Status.SUCCEEDED, Status.CANCELLED}),
    Kind.DEADLINE: frozenset({Status.SUCCEEDED, Status.EXPIRED}),
    Kind.POISON: frozenset({Status.FAILED}),
}


@dataclass(slots=True)
class Entry:
    """One accepted job. end: status, time and output as its client saw them."""

    kind: Kind
    text: str
    end: tuple[Any, ...] | None = None


@dataclass(slots=True)
class Verdict:
    """The reconciliation. Each list names jobs with what is the matter."""

    accepted: int
    ends: Counter[str]
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.changed or self.wrong)

    def lines(self) -> list[str]:
        ends = ", ".join(f"{status} {count:,}" for status, count in sorted(self.ends.items()))
        lines = [f"accepted {self.accepted:,}: {ends}"]
        for name in ("lost", "doubled", "changed", "wrong"):
            found: list[str] = getattr(self, name)
            lines.append(f"{name} {len(found)}" + "".join(f"\n    {one}" for one in found[:SHOWN]))
        return lines


class Ledger:
    """Filled by many clients."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.doubled: list[str] = []
        self._lock = threading.Lock()

    def accepted(self, job_id: str, kind: Kind, text: str, key: str) -> None:
        with self._lock:
            known = self.entries.setdefault(job_id, Entry(kind, text))
        if known.text != text:
            self.doubled.append(f"{job_id}: answers to {key} and to another key")

    def saw(self, view: Mapping[str, Any]) -> None:
        """Note the end that a client was shown."""
        entry = self.entries[view["id"]]
        entry.end = entry.end or _end(view)

    def reconcile(self, store: Store) -> Verdict:
        """Read every accepted job again; clients must have stopped."""
        verdict = Verdict(len(self.entries), Counter(), doubled=list(self.doubled))
        job_ids = list(self.entries)
        for start in range(0, len(job_ids), AT_ONCE):
            chunk = job_ids[start : start + AT_ONCE]
            for job_id, job in zip(chunk, read_jobs(store, chunk), strict=True):
                self._check(verdict, job_id, job)
        counted = sum(int(count) for count in store.redis.hgetall(keys.COUNTS).values())
        if counted != len(self.entries):
            verdict.doubled.append(f"{counted} ends were counted for {len(self.entries)} jobs")
        return verdict

    def _check(self, verdict: Verdict, job_id: str, job: Job | None) -> None:
        entry = self.entries[job_id]
        if job is None or not job.status.is_terminal:
            verdict.lost.append(f"{job_id} ({entry.kind}): {job.status if job else 'no record'}")
            return
        verdict.ends[f"{entry.kind} {job.status}"] += 1
        view = job_document(job)
        end = _end(view)
        if entry.end and entry.end != end:
            verdict.changed.append(f"{job_id} ({entry.kind}): {entry.end}, then {end}")
        if job.status not in ENDS[entry.kind] or (entry.kind is Kind.BULK and job.failed):
            verdict.wrong.append(f"{job_id} ({entry.kind}): {job.status}, {view['error']}")
        elif view["output"] and view["output"]["echo"] != entry.text:
            verdict.wrong.append(f"{job_id} ({entry.kind}): the answer to {view['output']['echo']}")


def _end(view: Mapping[str, Any]) -> tuple[Any, ...]:
    return (str(view["status"]), view["finished_at"], view["progress"], view["output"])

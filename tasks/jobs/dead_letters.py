"""Dead letters: units on which workers died at every attempt, kept for inspection and requeue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Spec
from tasks.jobs.payload import Payload
from tasks.jobs.submit import Submission, new_job_id, submit
from tasks.store import keys
from tasks.store.client import Store


class NoDeadLetter(Exception):
    """No dead letter belongs to this job."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A quarantined unit. died: milliseconds since the epoch by Redis's clock."""

    died: int
    job: str
    unit: int
    lane: Lane
    priority: Priority
    spec: Spec
    payload: Payload

    @classmethod
    def read(cls, entry: str, fields: dict[str, Any]) -> DeadLetter:
        """Build from an entry of the stream of dead letters."""
        lane, priority = fields["stream"].removeprefix(keys.LANE).split(":")
        return cls(
            died=int(entry.partition("-")[0]),
            job=fields["job"],
            unit=int(fields["unit"]),
            lane=Lane(lane),
            priority=Priority(priority),
            spec=Spec(**orjson.loads(fields["spec"])),
            payload=Payload.load(fields["payload"]),
        )


def dead_letters(store: Store) -> Iterator[DeadLetter]:
    """All dead letters, newest first."""
    found: Any = store.redis.xrevrange(keys.DEAD)
    for entry, fields in found:
        yield DeadLetter.read(entry, fields)


def requeue(store: Store, job_id: str) -> list[str]:
    """Submit the job's dead units again, each as a job of its own; returns the new ids.

    The ended job is not changed: a terminal status is final. Its dead letters are kept too.

    Raises:
        NoDeadLetter: the job has no dead unit.
    """
    letters = [letter for letter in dead_letters(store) if letter.job == job_id]
    if not letters:
        raise NoDeadLetter(f"No dead letter belongs to {job_id}.")
    return [
        submit(store, _resubmission(letter), new_job_id()).job_id for letter in reversed(letters)
    ]


def _resubmission(letter: DeadLetter) -> Submission:
    return Submission(
        spec=letter.spec,
        inputs=letter.payload.inputs,
        lane=letter.lane,
        priority=letter.priority,
        batch_items=1,  # wake a worker for it, however busy the lane is
    )

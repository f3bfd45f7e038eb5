"""Lists an owner's jobs, newest first, page by page; a page is one round trip.

A job's id begins with the time at which it was made, so ids sort by time and a page is a range of
an index: O(log jobs + page). A filter for queued or running jobs scans the index of open jobs, of
which it reads at most `MOST_EXAMINED` ids a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ulid import ULID

from tasks.jobs.model import Job, Status
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.jobs import LIST_JOBS, ListJobsArgs

OPEN = "open"  # the index of jobs that have not ended; each terminal status has its own
MOST_EXAMINED = 1_000  # ids a page; bounds how long Redis is busy when a filter matches few jobs


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs to list. after, before: microseconds since the epoch, both exclusive.

    They are compared with the millisecond in a job's id. That is from the clock of the API process
    that accepted the job, and a little before `Job.created`.
    """

    status: Status | None = None
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs. position: the id after which the next page begins; None: no next page."""

    jobs: Sequence[Job]
    position: str | None


def list_jobs(
    store: Store, owner: str, wanted: Filter, limit: int, position: str | None = None
) -> Page:
    """At most `limit` jobs after `position`, or the newest (jobs/list.lua).

    A page may be shorter, even empty, without being the last.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    newest, oldest = _range(wanted, position)
    args = ListJobsArgs(newest, oldest, limit, MOST_EXAMINED, wanted.status or "")
    indexes = [keys.jobs(owner, state) for state in _states(wanted.status)]
    last, *found = store.run(LIST_JOBS, args, [Job.FIELDS], keys=indexes)
    jobs = [Job.read(job_id, values) for job_id, values in found]
    return Page([job for job in jobs if job], last or None)


def newest_jobs(store: Store, owners: Sequence[str], limit: int) -> list[Job]:
    """The newest jobs of several owners together. For operators: an owner sees only its own jobs.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    indexes = [keys.jobs(owner, state) for owner in owners for state in _states(None)]
    newest, oldest = _range(Filter(), None)
    if not indexes:
        return []
    args = ListJobsArgs(newest, oldest, limit, MOST_EXAMINED, "")
    _, *found = store.run(LIST_JOBS, args, [Job.FIELDS], keys=indexes)
    jobs = [Job.read(job_id, values) for job_id, values in found]
    return [job for job in jobs if job]


def _range(wanted: Filter, position: str | None) -> tuple[str, str]:
    """The newest and the oldest id of a page, as ZRANGE BYLEX takes them."""
    newest = [position] if position else []
    if wanted.before is not None:
        newest.append(_id_at(-(-wanted.before // 1_000)))
    oldest = "-" if wanted.after is None else f"[{_id_at(wanted.after // 1_000 + 1)}"
    return (f"({min(newest)}" if newest else "+", oldest)


def _states(status: Status | None) -> Sequence[str]:
    """The indexes that may hold jobs of that status."""
    if status is None:
        return [OPEN, *(end for end in Status if end.is_terminal)]
    return [status if status.is_terminal else OPEN]


def _id_at(ms: int) -> str:
    """The lowest job id of a millisecond; there are none before the epoch."""
    return f"job_{ULID(max(0, ms).to_bytes(6, 'big') + bytes(10))}"

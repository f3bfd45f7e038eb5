"""Reads jobs and their results, in one round trip each; never writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from tasks.jobs.model import Job
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.jobs import READ_JOBS, ReadJobsArgs

UNITS_AT_ONCE = 16  # read in one command


def read_job(store: Store, job_id: str) -> Job | None:
    """The job's record; None if there is none."""
    return Job.read(job_id, store.execute("HMGET", keys.job(job_id), *Job.FIELDS))


def read_jobs(store: Store, job_ids: Sequence[str]) -> list[Job | None]:
    """Many jobs in one round trip, in the given order; None where there is no record."""
    found = store.run(READ_JOBS, ReadJobsArgs(len(Job.FIELDS)), [Job.FIELDS, job_ids])
    return [Job.read(job_id, values) for job_id, values in zip(job_ids, found, strict=True)]


def read_results(store: Store, job: Job) -> Iterator[dict[str, Any]]:
    """One line per item in input order; an item without an outcome has the status of its job."""
    first = 1 if job.spec.bulk else 0
    units = range(first, first + -(-job.total // job.spec.unit_items))
    index = 0
    for start in range(0, len(units), UNITS_AT_ONCE):
        chunk = units[start : start + UNITS_AT_ONCE]
        fields = [f"r:{unit}" for unit in chunk]
        for raw in store.execute("HMGET", keys.job(job.id), *fields):
            size = min(job.spec.unit_items, job.total - index)
            outcomes = orjson.loads(raw) if raw else [None] * size
            for outcome in outcomes:
                yield _line(index, job, outcome)
                index += 1


def _line(index: int, job: Job, outcome: dict[str, Any] | None) -> dict[str, Any]:
    if outcome is None:
        return {"index": index, "status": job.status, "output": None, "error": None}
    status = "failed" if outcome["error"] else "succeeded"
    return {"index": index, "status": status, **outcome}

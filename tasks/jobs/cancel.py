"""Cancel: end a job that has not ended (cancel.lua)."""

from __future__ import annotations

from tasks.jobs.model import Status
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.jobs import CANCEL, CancelArgs


def cancel_job(store: Store, job_id: str) -> Status | None:
    """Cancel a job, unless it has ended; returns its status before, None if there is no such job.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    ttl_ms = store.settings.result_ttl_s * 1000
    before = store.run(CANCEL, CancelArgs(job_id, ttl_ms), keys=[keys.job(job_id)])
    return None if before is None else Status(before)

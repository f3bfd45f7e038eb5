"""Jobs as they stand in Redis and in their owner's index, put there without a submit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ulid import ULID

from tasks.jobs.listing import OPEN
from tasks.jobs.model import Spec, Status
from tasks.store import keys
from tasks.store.client import Store

BEGUN_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def id_at(number: int) -> str:
    """The id of a job made `number` milliseconds after the begin."""
    return f"job_{ULID((BEGUN_MS + number).to_bytes(6, 'big') + bytes([7] * 10))}"


def add(
    store: Store,
    numbers: Sequence[int],
    status: Status = Status.SUCCEEDED,
    owner: str = "o",
    kept: bool = True,
) -> list[str]:
    """Jobs of that status, one for each number, newest first; kept: whether their records exist."""
    state = status if status.is_terminal else OPEN
    job_ids = [id_at(number) for number in sorted(numbers, reverse=True)]
    spec, created = Spec("null", owner).dump().decode(), str(BEGUN_MS * 1_000)
    record: dict[Any, Any] = {"spec": spec, "status": status, "total": "1", "created": created}
    pipe = store.redis.pipeline(transaction=False)
    for job_id in job_ids:
        pipe.zadd(keys.jobs(owner, state), {job_id: 0})
        if kept:
            pipe.hset(keys.job(job_id), mapping=record)
    pipe.execute()
    return job_ids

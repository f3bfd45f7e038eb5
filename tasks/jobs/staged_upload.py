"""Staged upload: stores the units of a job one by one, before the job is submitted as a whole.

It is for jobs too large for one request to Redis. The job does not exist before
`tasks.jobs.submit` accepts it. If the web process dies midway, the staged units expire
`upload_patience_ms` after the last one.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from redis import RedisError

from tasks.jobs.hashing import InputHash
from tasks.jobs.payload import Payload, submit_unit
from tasks.jobs.submit import RETRY_UNKNOWN_S, InFlight, Overloaded
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.jobs import DISCARD, STAGE, DiscardArgs, StageArgs, StagedUnit, SubmitUnit

STAGING_OVERHEAD = 2  # staged bytes allowed per byte sent: some JSON grows when it is encoded again


class TooLarge(Exception):
    """The staged units have more than `most` bytes together."""

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most} bytes")
        self.most = most


class StagedUpload:
    """The staged units of one job. units: what a `Submission` needs of them.

    hash: of the inputs added so far, if LOG_INPUT_HASH is set.

    As a context manager it deletes the staged units if its body raises, unless the job was
    accepted.
    """

    def __init__(self, store: Store, job_id: str, owner: str, idempotency_key: str | None) -> None:
        self.units: list[SubmitUnit] = []
        settings = store.settings
        self.hash = InputHash(settings.key_pepper) if settings.log_input_hash else None
        self._store = store
        self._job_id = job_id
        self._record = keys.idempotency(owner, idempotency_key) if idempotency_key else ""
        self._storing = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()

    def add(self, payload: Payload, first_number: int = 1) -> bool:
        """Stage the next unit. False: the idempotency key has a job already, nothing is stored.

        Raises:
            InFlight: another upload with this idempotency key is under way.
            Overloaded: Redis has no memory for more ("memory").
            TooLarge: this upload has too many bytes.
            redis.RedisError: Redis is out of reach.
        """
        unit = submit_unit(payload)
        if self.hash:
            self.hash.add(payload.inputs)
        if self._storing:
            self._storing = self._stage(first_number + len(self.units), unit.payload)
        self.units.append(unit._replace(payload=b""))
        return self._storing

    def _stage(self, number: int, payload: bytes) -> bool:
        settings = self._store.settings
        most = STAGING_OVERHEAD * settings.max_upload_bytes
        args = StageArgs(
            job=self._job_id,
            patience_ms=settings.upload_patience_ms,
            headroom_percent=settings.redis_headroom_percent,
            most_bytes=most,
        )
        unit = StagedUnit(number, payload)
        (kind, *_) = self._store.run(STAGE, args, [unit], keys=[self._record])
        if kind == "in_flight":
            raise InFlight
        if kind == "memory":
            raise Overloaded(kind, 0, RETRY_UNKNOWN_S)
        if kind == "full":
            raise TooLarge(most)
        return bool(kind == "staged")

    def _discard(self) -> None:
        """Delete the staged units and release the idempotency key (jobs/discard.lua)."""
        try:
            self._store.run(DISCARD, DiscardArgs(self._job_id), keys=[self._record])
        except RedisError:
            return  # they expire by themselves

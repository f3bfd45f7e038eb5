"""An upload: the units of a job too large for one request to Redis, staged one after another.

Nobody sees the job before `tasks.submit` accepts it whole. A web process that dies on the way
leaves only what goes by itself when `upload_patience_ms` have passed without another unit.
"""

from __future__ import annotations

from tasks import keys
from tasks.lanes import Entry, Payload
from tasks.store import STAGE, Store
from tasks.submit import RETRY_UNKNOWN_S, InFlight, Overloaded


class Upload:
    """The staged units of one job. entries: what a `Submission` needs to know of them."""

    def __init__(self, store: Store, job_id: str, owner: str, idempotency_key: str | None) -> None:
        self.entries: list[Entry] = []
        self._store = store
        self._job_id = job_id
        self._record = keys.idempotency(owner, idempotency_key) if idempotency_key else ""

    def add(self, payload: Payload, first_number: int = 1) -> bool:
        """Stage the next unit. False: the idempotency key has its job already, nothing is kept.

        Raises:
            InFlight: another upload with this idempotency key is under way.
            Overloaded: Redis ("memory"), or this upload ("full"), has no room for more.
            redis.RedisError: Redis is out of reach.
        """
        entry = Entry.of(payload)
        settings = self._store.settings
        (kind, *_) = self._store.run(
            STAGE,
            [
                *(self._job_id, settings.upload_patience_ms, settings.redis_headroom_percent),
                *(settings.max_upload_bytes, first_number + len(self.entries), entry.payload),
            ],
            [self._record],
        )
        if kind == "in_flight":
            raise InFlight
        if kind in {"memory", "full"}:
            raise Overloaded(kind, 0, RETRY_UNKNOWN_S)
        self.entries.append(Entry(entry.items, entry.size, b""))
        return bool(kind == "staged")

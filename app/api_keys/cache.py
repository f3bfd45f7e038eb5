"""Cache of all API keys in a web process, never older than half a second.

A request normally needs no read of Redis. Twice a second, one request asks Redis whether the keys
have changed, and reads them if so; requests that come meanwhile wait for its result. So an unknown
key costs nothing, and a revoked key stops working within half a second and a round trip.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from app.api_keys.key_format import digest, key_id_of
from app.api_keys.principal import KeyLimits, Principal
from app.api_keys.records import NEVER_READ, KeyRecord, read_keys
from tasks.config.settings import Settings
from tasks.store.client import Store

FRESH_S = 0.5
NO_DIGEST = "0" * 64  # compared with if the key is unknown, so that the time tells nothing


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """All keys at one moment. now: Redis's clock then, us. at: our clock before the read, s."""

    version: str
    records: Mapping[str, KeyRecord]
    principals: Mapping[str, Principal]
    now: int
    at: float


class KeyCache:
    """The cache. clock: monotonic, seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._snapshot = KeySnapshot(NEVER_READ, {}, {}, 0, -FRESH_S)
        self._lock = threading.Lock()
        self._reading: Future[KeySnapshot] | None = None

    def principal_of(self, text: str) -> Principal | None:
        """Find the holder of a key; None if it is malformed, unknown, expired or revoked.

        Raises:
            redis.RedisError: Redis is out of reach, so it is not known whether the key is valid.
        """
        key_id = key_id_of(text)
        if key_id is None:
            return None
        now = self._fresh()
        record = now.records.get(key_id)
        shown = digest(text, self._store.settings.key_pepper)
        right = hmac.compare_digest(shown, record.digest if record else NO_DIGEST)
        if record is None or not right or not record.works(self._redis_us(now)):
            return None
        return now.principals[key_id]

    def _redis_us(self, now: KeySnapshot) -> int:
        return now.now + int((self._clock() - now.at) * 1_000_000)

    def _fresh(self) -> KeySnapshot:
        """A snapshot at most FRESH_S older than the call; one thread reads for all."""
        oldest = self._clock() - FRESH_S
        if (snapshot := self._snapshot).at > oldest:
            return snapshot
        with self._lock:
            if self._snapshot.at > oldest:
                return self._snapshot
            reading, leads = self._reading, self._reading is None
            if reading is None:
                reading = self._reading = Future()
        if leads:
            self._read_into(reading)
        return reading.result()

    def _read_into(self, reading: Future[KeySnapshot]) -> None:
        try:
            snapshot = self._read(self._snapshot)
        except BaseException as error:  # all that wait get the error; the next request tries again
            with self._lock:
                self._reading = None
            reading.set_exception(error)
            return
        with self._lock:
            self._snapshot, self._reading = snapshot, None
        reading.set_result(snapshot)

    def _read(self, old: KeySnapshot) -> KeySnapshot:
        at = self._clock()
        reading = read_keys(self._store, old.version)
        if reading.records is None:
            return KeySnapshot(old.version, old.records, old.principals, reading.now, at)
        settings = self._store.settings
        principals = {
            key_id: _principal(record, settings) for key_id, record in reading.records.items()
        }
        return KeySnapshot(reading.version, reading.records, principals, reading.now, at)


def _principal(record: KeyRecord, settings: Settings) -> Principal:
    return Principal(
        owner=record.owner,
        key_id=record.id,
        scopes=frozenset(record.scopes),
        limits=KeyLimits(
            requests_per_s=record.requests_per_s or settings.requests_per_s,
            items_per_s=record.items_per_s or settings.items_per_s,
            unfinished_items=record.unfinished_items or settings.unfinished_items,
        ),
    )

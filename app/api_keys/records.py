"""The stored record of an API key, and how all records are read. The key itself is not stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from app.api_keys.principal import Scope
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.api_keys import READ_API_KEYS, ReadApiKeysArgs

NEVER_READ = "none"  # differs from every version
REDIS_KEYS = (keys.API_KEYS, keys.API_KEYS_VERSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """The record of a key. Times are microseconds since the epoch, by Redis's clock, or None.

    digest: see `app.api_keys.key_format.digest`. successor: id of the key that replaces it. A limit
    of None takes the setting.
    """

    id: str
    owner: str
    scopes: tuple[Scope, ...]
    digest: str = dataclasses.field(repr=False)
    created: int
    name: str = ""
    expires: int | None = None
    revoked: int | None = None
    successor: str | None = None
    requests_per_s: int | None = None
    items_per_s: int | None = None
    unfinished_items: int | None = None

    def state(self, now: int) -> str:
        """live, rotated (live until it expires, while its successor is too), expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "rotated" if self.successor else "live"

    def works(self, now: int) -> bool:
        """Whether the key is valid at `now`."""
        return self.state(now) in ("live", "rotated")

    def dump(self) -> bytes:
        """The record as JSON, as it is stored."""
        members = dataclasses.asdict(self)
        del members["id"]  # it is the name of the hash field
        return orjson.dumps(members)

    @classmethod
    def load(cls, key_id: str, stored: str) -> KeyRecord:
        """Read a stored record."""
        members = orjson.loads(stored)
        scopes = tuple(Scope(scope) for scope in members.pop("scopes"))
        return cls(id=key_id, scopes=scopes, **members)


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """All keys at one moment. records: by id; None if the version has not changed."""

    now: int
    version: str
    records: Mapping[str, KeyRecord] | None


def read_keys(store: Store, known: str = NEVER_READ) -> StoredKeys:
    """Read all keys in one round trip; without the records if `known` is still their version.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    now, version, *rest = store.run(READ_API_KEYS, ReadApiKeysArgs(known), keys=REDIS_KEYS)
    if not rest:
        return StoredKeys(int(now), version, None)
    (flat,) = rest
    stored = zip(flat[::2], flat[1::2], strict=True)
    records = {key_id: KeyRecord.load(key_id, text) for key_id, text in stored}
    return StoredKeys(int(now), version, records)

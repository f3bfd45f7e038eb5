"""Creates, rotates and revokes API keys, each as one atomic change.

A change is computed from the keys as they were read, and written only if they have not changed
since; else it is computed again. So a change whose reply was lost may be repeated: it recognises
what it has written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.api_keys.key_format import ApiKey, digest, new_key
from app.api_keys.principal import Scope
from app.api_keys.records import REDIS_KEYS, KeyRecord, StoredKeys, read_keys
from tasks.store.client import Store
from tasks.store.scripts.api_keys import WRITE_API_KEYS, ApiKeyRecord, WriteApiKeysArgs

US_PER_S = 1_000_000


class NoSuchChange(Exception):
    """The key does not exist or cannot be changed in this way; the text says what can be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A key to be created. lives_s: None for ever. A limit of None takes the setting."""

    owner: str
    scopes: tuple[Scope, ...] = (Scope.JOBS,)
    name: str = ""
    lives_s: int | None = None
    requests_per_s: int | None = None
    items_per_s: int | None = None
    unfinished_items: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, to be shown once, and its record."""

    key: ApiKey
    record: KeyRecord


def create(store: Store, request: KeyRequest) -> IssuedKey:
    """Create a key.

    Raises:
        redis.RedisError: Redis is out of reach; the key may exist without anybody knowing it.
    """
    key = new_key()

    def made(now: StoredKeys) -> list[KeyRecord]:
        return [
            KeyRecord(
                id=key.id,
                owner=request.owner,
                scopes=request.scopes,
                digest=digest(key.text, store.settings.key_pepper),
                created=now.now,
                name=request.name,
                expires=None if request.lives_s is None else now.now + request.lives_s * US_PER_S,
                requests_per_s=request.requests_per_s,
                items_per_s=request.items_per_s,
                unfinished_items=request.unfinished_items,
            )
        ]

    (record,) = _change(store, made)
    return IssuedKey(key, record)


def rotate(store: Store, key_id: str, grace_s: int) -> IssuedKey:
    """Create a successor with the same rights and lifetime; the old key works `grace_s` more.

    Raises:
        NoSuchChange: there is no such key, it has expired or was revoked, or has a successor.
        redis.RedisError: Redis is out of reach.
    """
    key = new_key()

    def rotated(now: StoredKeys) -> list[KeyRecord]:
        old = _require(now, key_id)
        if old.successor == key.id:  # written by an attempt whose reply was lost
            return [old, _require(now, key.id)]
        if not old.works(now.now):
            raise NoSuchChange(f"{key_id} is {old.state(now.now)}: create a new key instead.")
        if old.successor is not None:
            raise NoSuchChange(f"{key_id} already has a successor: rotate {old.successor} instead.")
        ends = now.now + grace_s * US_PER_S
        lives = None if old.expires is None else old.expires - old.created
        new = replace(
            old,
            id=key.id,
            digest=digest(key.text, store.settings.key_pepper),
            created=now.now,
            expires=None if lives is None else now.now + lives,
        )
        expires = ends if old.expires is None else min(ends, old.expires)
        return [replace(old, successor=key.id, expires=expires), new]

    _, record = _change(store, rotated)
    return IssuedKey(key, record)


def revoke(store: Store, key_id: str) -> KeyRecord:
    """Revoke a key at once; revoking it again changes nothing.

    Raises:
        NoSuchChange: there is no such key.
        redis.RedisError: Redis is out of reach.
    """

    def revoked(now: StoredKeys) -> list[KeyRecord]:
        old = _require(now, key_id)
        return [old if old.revoked is not None else replace(old, revoked=now.now)]

    (record,) = _change(store, revoked)
    return record


def _change(store: Store, compute: Callable[[StoredKeys], list[KeyRecord]]) -> list[KeyRecord]:
    """Write the records that `compute` returns; computed again if the keys have changed since."""
    while True:
        now = read_keys(store)
        records = compute(now)
        rows = (ApiKeyRecord(record.id, record.dump()) for record in records)
        if store.run(WRITE_API_KEYS, WriteApiKeysArgs(now.version), rows, keys=REDIS_KEYS):
            return records


def _require(now: StoredKeys, key_id: str) -> KeyRecord:
    record = (now.records or {}).get(key_id)
    if record is None:
        raise NoSuchChange(f"There is no key {key_id}; `flask keys list` shows all keys.")
    return record

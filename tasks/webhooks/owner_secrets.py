"""Secrets that sign the webhooks given with single jobs: one per owner, created at first use.

The operator's own (owner `default`) may be a setting instead: WEBHOOK_SECRET.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks.signing_secrets import SealedSecret, rotate, unseal

OPERATOR = "default"  # the owner of PENSTOCK_API_KEY's jobs


class SecretIsASetting(Exception):  # an answer to a client, not a fault
    """WEBHOOK_SECRET signs for this owner; only the operator can change it."""


def job_secrets(store: Store, owner: str) -> tuple[str, ...]:
    """The owner's secrets that sign now, newest first.

    Raises:
        redis.RedisError: Redis is out of reach, or too full to keep a new one.
    """
    text = store.execute("HGET", keys.WEBHOOKS_SECRETS, owner)
    return read_secrets(store, {owner: text}, store.now_us())[owner]


def read_secrets(
    store: Store, kept: Mapping[str, str | None], now: int
) -> dict[str, tuple[str, ...]]:
    """The secrets that sign, of many owners; creates those that are missing.

    kept: what Redis had for each owner at `now`, in microseconds.
    """
    settings = store.settings
    fixed = {OPERATOR: (settings.webhook_secret,)} if settings.webhook_secret else {}
    missing = [owner for owner, text in kept.items() if not text and owner not in fixed]
    texts = {**kept, **(_create(store, missing, now) if missing else {})}
    return {
        owner: fixed.get(owner) or unseal(_kept(str(text)), settings.webhook_key, now)
        for owner, text in texts.items()
    }


def _create(store: Store, owners: Sequence[str], now: int) -> dict[str, str]:
    """Create secrets, unless another process was faster; returns what Redis has then."""
    with store.redis.pipeline() as pipe:
        for owner in owners:
            made = orjson.dumps(rotate((), store.settings.webhook_key, now, 0))
            pipe.hsetnx(keys.WEBHOOKS_SECRETS, owner, made)
        pipe.hmget(keys.WEBHOOKS_SECRETS, owners)
        *_, texts = pipe.execute()
    return dict(zip(owners, texts, strict=True))


def rotate_job_secrets(store: Store, owner: str) -> tuple[str, ...]:
    """Add a new secret; the old one signs too for `webhook_rotation_s`.

    Raises:
        SecretIsASetting: the operator's secret is in the environment.
        redis.RedisError: Redis is out of reach, or full; nothing was changed.
    """
    settings = store.settings
    if owner == OPERATOR and settings.webhook_secret:
        raise SecretIsASetting
    job_secrets(store, owner)

    def renew(pipe: Any) -> None:
        kept = _kept(pipe.hget(keys.WEBHOOKS_SECRETS, owner))
        now, grace_s = store.now_us(), settings.webhook_rotation_s
        pipe.multi()
        made = orjson.dumps(rotate(kept, settings.webhook_key, now, grace_s))
        pipe.hset(keys.WEBHOOKS_SECRETS, owner, made)

    store.redis.transaction(renew, keys.WEBHOOKS_SECRETS)
    return job_secrets(store, owner)


def _kept(text: str) -> tuple[SealedSecret, ...]:
    return tuple(SealedSecret(**one) for one in orjson.loads(text))

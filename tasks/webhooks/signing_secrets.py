"""Signing secrets of webhooks: create, encrypt for Redis, decrypt and rotate.

Redis holds them encrypted and authenticated (Fernet: AES-128-CBC, HMAC-SHA256) under a key derived
from PENSTOCK_WEBHOOK_KEY, so nobody can sign with a copy of Redis's data.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

MAX_SIGNING = 8  # at once: each one makes the headers of every delivery longer


def new_secret() -> str:
    """Create a secret: 32 random bytes as https://www.standardwebhooks.com writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """An encrypted secret. Times are Redis microseconds; expires: None for the newest."""

    sealed: str
    created: int
    expires: int | None = None


def seal(secret: str, key: str) -> str:
    """Encrypt a secret under PENSTOCK_WEBHOOK_KEY."""
    return _fernet(key).encrypt(secret.encode()).decode()


def unseal(kept: Sequence[SealedSecret], key: str, now: int) -> tuple[str, ...]:
    """Decrypt the secrets that sign at `now`, newest first; leaves out those of another key."""
    live = (one for one in kept if one.expires is None or now < one.expires)
    found = (_open(one.sealed, key) for one in live)
    return tuple(secret for secret in found if secret)


def rotate(
    kept: Sequence[SealedSecret], key: str, now: int, grace_s: int
) -> tuple[SealedSecret, ...]:
    """Add a new secret before those that still sign: the last one for `grace_s` more seconds.

    At most MAX_SIGNING are kept; frequent rotation drops the oldest.
    """
    until = now + grace_s * 1_000_000
    older = [
        SealedSecret(
            one.sealed, one.created, until if one.expires is None else min(one.expires, until)
        )
        for one in kept
        if one.expires is None or now < one.expires
    ]
    return (SealedSecret(seal(new_secret(), key), now), *older[: MAX_SIGNING - 1])


@lru_cache(4096)
def _open(sealed: str, key: str) -> str | None:
    try:
        return _fernet(key).decrypt(sealed).decode()
    except InvalidToken:
        log.critical("a webhook secret was encrypted with another PENSTOCK_WEBHOOK_KEY")
        return None


@lru_cache(4)
def _fernet(key: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"penstock webhook secrets")
    return Fernet(base64.urlsafe_b64encode(derived.derive(key.encode())))

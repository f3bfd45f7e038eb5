"""Secrets of single jobs' webhooks: one per owner, created once, encrypted, rotated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks.owner_secrets import SecretIsASetting, job_secrets, rotate_job_secrets
from tasks.webhooks.signing_secrets import new_secret


def test_an_owners_secret_is_created_at_first_use_and_encrypted(store: Store) -> None:
    (secret,) = job_secrets(store, "o")
    assert secret.startswith("whsec_")
    assert job_secrets(store, "o") == (secret,)
    assert job_secrets(store, "p") != (secret,)
    kept = store.redis.hget(keys.WEBHOOKS_SECRETS, "o")
    assert kept is not None
    assert secret.removeprefix("whsec_") not in kept


def test_the_operators_secret_is_the_setting_if_there_is_one(store: Store) -> None:
    secret = new_secret()
    told = Store(store.redis, replace(store.settings, webhook_secret=secret))
    assert job_secrets(told, "default") == (secret,)
    assert job_secrets(told, "o") != (secret,)
    with pytest.raises(SecretIsASetting):
        rotate_job_secrets(told, "default")
    assert job_secrets(store, "default") != (secret,)


def test_an_old_secret_signs_beside_the_new_one(store: Store) -> None:
    (old,) = job_secrets(store, "o")
    new, *others = rotate_job_secrets(store, "o")
    assert others == [old]
    assert job_secrets(store, "o") == (new, old)
    at_once = Store(store.redis, replace(store.settings, webhook_rotation_s=0))
    (newest,) = rotate_job_secrets(at_once, "o")
    assert newest not in (old, new)

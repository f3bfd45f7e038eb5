"""Endpoints: the owners' settings, and what the scripts that finish jobs read of them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks import endpoints
from tasks.webhooks.endpoints import BY_OWNER, EVENTS, FAILING, Endpoint, TooManyEndpoints

URL = "https://example.com/hook"


def subscriptions(store: Store, owner: str = "o") -> Any:
    """Endpoints and events as the scripts that finish jobs see them."""
    return store.redis.hgetall(keys.hooks(owner))


def make(store: Store, *events: str) -> Endpoint:
    return endpoints.create(store, "o", URL, events or EVENTS, "mine")


def with_settings(store: Store, **changes: Any) -> Store:
    return Store(store.redis, replace(store.settings, **changes))


def test_a_new_endpoint_is_enabled_and_gets_its_events(store: Store) -> None:
    made = make(store, "job.succeeded", "job.failed")
    assert (made.url, made.description, made.enabled, made.disabled_reason) == (
        *(URL, "mine"),
        *(True, None),
    )
    assert endpoints.find(store, "o", made.id) == made
    assert endpoints.endpoints_of(store, "o") == [made]
    assert subscriptions(store) == {made.id: "job.succeeded job.failed"}


def test_its_id_has_no_underscore_but_that_of_the_prefix(store: Store) -> None:
    prefix, _, rest = make(store).id.partition("_")
    assert (prefix, len(rest)) == ("we", 20)
    assert rest.isalnum()


def test_another_owner_sees_and_changes_nothing_of_it(store: Store) -> None:
    made = make(store)
    assert endpoints.find(store, "p", made.id) is None
    assert endpoints.endpoints_of(store, "p") == []
    assert endpoints.update(store, "p", made.id, enabled=False) is None
    assert endpoints.rotate(store, "p", made.id) is None
    assert endpoints.disable(store, "p", made.id, FAILING) is None
    assert endpoints.delete(store, "p", made.id) is False
    assert endpoints.find(store, "o", made.id) == made


def test_its_secret_is_32_bytes_and_encrypted_in_redis(store: Store) -> None:
    (secret,) = make(store).secrets
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    (kept,) = store.redis.hvals(keys.endpoints("o"))
    assert "sealed" in kept
    assert secret.removeprefix("whsec_") not in kept
    assert secret not in repr(make(store))


def test_a_changed_key_decrypts_nothing(store: Store) -> None:
    made = make(store)
    found = endpoints.find(
        with_settings(store, webhook_key="another-key-of-webhooks"), "o", made.id
    )
    assert found is not None
    assert found.secrets == ()


def test_a_rotated_secret_signs_beside_the_new_one_until_its_grace_ends(store: Store) -> None:
    (old,) = make(store).secrets
    (made,) = endpoints.endpoints_of(store, "o")
    rotated = endpoints.rotate(store, "o", made.id)
    assert rotated is not None
    new, *others = rotated.secrets
    assert others == [old]
    assert new != old
    assert endpoints.find(store, "o", made.id) == rotated
    ended = endpoints.rotate(with_settings(store, webhook_rotation_s=0), "o", made.id)
    assert ended is not None
    assert len(ended.secrets) == 1
    assert ended.secrets[0] not in (old, new)


def test_changes_are_seen_by_the_scripts_that_finish_jobs(store: Store) -> None:
    made = make(store)
    changed = endpoints.update(store, "o", made.id, events=["job.failed"], description="new")
    assert changed is not None
    assert (changed.events, changed.description, changed.url) == (("job.failed",), "new", URL)
    assert subscriptions(store) == {made.id: "job.failed"}
    off = endpoints.update(store, "o", made.id, enabled=False)
    assert off is not None
    assert (off.enabled, off.disabled_reason) == (False, BY_OWNER)
    assert subscriptions(store) == {}
    on = endpoints.update(store, "o", made.id, enabled=True)
    assert on is not None
    assert (on.enabled, on.disabled_reason) == (True, None)
    assert subscriptions(store) == {made.id: "job.failed"}


def test_nothing_else_can_be_changed(store: Store) -> None:
    made = make(store)
    with pytest.raises(TypeError, match=r"fields that cannot be changed: \['secrets'\]"):
        endpoints.update(store, "o", made.id, secrets=())


def test_a_disabled_endpoint_has_a_reason_and_gets_no_events(store: Store) -> None:
    made = make(store)
    disabled = endpoints.disable(store, "o", made.id, FAILING)
    assert disabled is not None
    assert (disabled.enabled, disabled.disabled_reason) == (False, FAILING)
    assert subscriptions(store) == {}
    assert endpoints.disable(store, "o", made.id, "again") is None
    assert endpoints.find(store, "o", made.id) == disabled


def test_enabling_or_a_new_url_forgets_failures(store: Store) -> None:
    made = make(store)

    def fail() -> None:
        store.redis.hset(keys.WEBHOOKS_FAILING, made.id, 1)
        store.redis.set(keys.webhook_breaker(made.id), "5 99 1")

    def failing() -> int:
        return store.redis.exists(keys.WEBHOOKS_FAILING, keys.webhook_breaker(made.id))

    fail()
    endpoints.update(store, "o", made.id, description="same place")
    assert failing() == 2
    endpoints.update(store, "o", made.id, url="https://example.com/new")
    assert failing() == 0
    fail()
    endpoints.update(store, "o", made.id, enabled=True)
    assert failing() == 0


def test_a_deleted_endpoint_gets_no_events(store: Store) -> None:
    made = make(store)
    assert endpoints.delete(store, "o", made.id) is True
    assert endpoints.delete(store, "o", made.id) is False
    assert endpoints.find(store, "o", made.id) is None
    assert store.redis.keys("ps:*") == []


def test_an_owner_has_a_limited_number_of_endpoints(store: Store) -> None:
    few = with_settings(store, max_webhook_endpoints=2)
    first = make(few)
    make(few)
    with pytest.raises(TooManyEndpoints) as error:
        make(few)
    assert error.value.most == 2
    endpoints.create(few, "p", URL)
    endpoints.update(few, "o", first.id, description="changes go on")
    endpoints.delete(few, "o", first.id)
    make(few)


def test_a_concurrent_change_is_not_undone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(store)
    read = store.now_us
    to_disable = iter([made.id])

    def now_us() -> int:
        for endpoint_id in to_disable:
            endpoints.disable(store, "o", endpoint_id, FAILING)
        return read()

    monkeypatch.setattr(store, "now_us", now_us)
    endpoints.update(store, "o", made.id, description="new")
    found = endpoints.find(store, "o", made.id)
    assert found is not None
    assert (found.description, found.enabled, found.disabled_reason) == ("new", False, FAILING)
    assert subscriptions(store) == {}

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from app.api_keys.key_format import digest
from app.api_keys.management import (
    US_PER_S,
    IssuedKey,
    KeyRequest,
    NoSuchChange,
    create,
    revoke,
    rotate,
)
from app.api_keys.principal import Scope
from app.api_keys.records import KeyRecord, read_keys
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.api_keys import WRITE_API_KEYS
from tests.conftest import PEPPER

DAY_S = 86_400
WISH = KeyRequest(
    owner="acme",
    scopes=(Scope.JOBS, Scope.METRICS),
    name="ci",
    lives_s=90 * DAY_S,
    requests_per_s=7,
    items_per_s=8,
    unfinished_items=9,
)


def stored(store: Store, key_id: str) -> KeyRecord:
    return (read_keys(store).records or {})[key_id]


def now(store: Store) -> int:
    return read_keys(store).now


def test_a_created_key_is_stored_as_a_digest_with_what_it_may(store: Store) -> None:
    made = create(store, WISH)
    record = stored(store, made.key.id)
    assert record == made.record
    assert record.digest == digest(made.key.text, PEPPER)
    assert (record.owner, record.scopes, record.name) == ("acme", WISH.scopes, "ci")
    assert (record.requests_per_s, record.items_per_s, record.unfinished_items) == (7, 8, 9)
    assert record.expires == record.created + 90 * DAY_S * US_PER_S
    assert record.state(record.created) == "live"
    assert record.state(record.expires) == "expired"


def test_times_are_those_of_redis(store: Store) -> None:
    seconds, micros = store.redis.time()
    record = create(store, KeyRequest(owner="acme")).record
    assert 0 <= record.created - (seconds * US_PER_S + micros) < 60 * US_PER_S
    assert record.expires is None


def test_nothing_of_a_key_but_its_id_and_digest_is_anywhere_in_redis(store: Store) -> None:
    made = rotate(store, create(store, WISH).key.id, 60)
    dumped = [store.redis.type(name) for name in store.redis.scan_iter("*")]
    assert sorted(dumped) == ["hash", "string"]  # and both are looked at:
    values = (store.redis.hgetall(keys.API_KEYS), store.redis.get(keys.API_KEYS_VERSION))
    everything = str(values)
    secret = made.key.text.split("_")[2]
    assert made.key.id in everything
    assert secret not in everything
    assert secret[:43] not in everything
    assert PEPPER not in everything


def test_during_the_grace_of_a_rotation_both_keys_live_and_then_the_new_one(store: Store) -> None:
    old = create(store, WISH)
    new = rotate(store, old.key.id, DAY_S)
    then, record = stored(store, old.key.id), stored(store, new.key.id)
    assert then.successor == record.id != then.id
    assert then.expires == record.created + DAY_S * US_PER_S
    assert then.state(record.created) == "rotated"
    assert then.works(record.created)
    assert record.works(record.created)
    assert not then.works(then.expires)
    assert record.works(then.expires)


def test_a_successor_is_as_the_old_key_was_when_it_was_made(store: Store) -> None:
    old = create(store, WISH).record
    new = rotate(store, old.id, DAY_S).record
    own = {"id": new.id, "digest": new.digest, "created": new.created, "expires": new.expires}
    assert replace(old, **own) == new  # type: ignore[arg-type]
    assert new.digest != old.digest
    assert new.expires == new.created + 90 * DAY_S * US_PER_S
    assert rotate(store, create(store, KeyRequest(owner="o")).key.id, 1).record.expires is None


def test_a_grace_period_does_not_extend_the_lifetime_of_a_key(store: Store) -> None:
    old = create(store, replace(WISH, lives_s=60)).record
    rotate(store, old.id, DAY_S)
    assert stored(store, old.id).expires == old.expires


def test_a_key_with_a_successor_is_not_rotated_again(store: Store) -> None:
    old = create(store, WISH).record
    new = rotate(store, old.id, 60).record
    before = read_keys(store).version
    with pytest.raises(NoSuchChange, match=f"already has a successor: rotate {new.id} instead"):
        rotate(store, old.id, 60)
    assert read_keys(store).version == before
    assert rotate(store, new.id, 60).record.owner == "acme"


def test_what_works_no_more_is_not_rotated(store: Store) -> None:
    revoked = create(store, WISH).record
    revoke(store, revoked.id)
    with pytest.raises(NoSuchChange, match="is revoked: create a new key instead"):
        rotate(store, revoked.id, 60)
    expired = rotate(store, create(store, WISH).key.id, 60).record
    rotate(store, expired.id, 0)
    with pytest.raises(NoSuchChange, match="is expired: create a new key instead"):
        rotate(store, expired.id, 60)


def test_revoking_is_final_and_twice_is_no_error(store: Store) -> None:
    made = create(store, WISH)
    first = revoke(store, made.key.id)
    assert first.state(first.created) == "revoked"
    assert revoke(store, made.key.id) == first == stored(store, made.key.id)


def test_revoking_a_rotated_key_leaves_its_successor(store: Store) -> None:
    old = create(store, WISH)
    new = rotate(store, old.key.id, DAY_S)
    revoke(store, old.key.id)
    assert not stored(store, old.key.id).works(now(store))
    assert stored(store, new.key.id).works(now(store))


def test_an_unknown_id_is_named(store: Store) -> None:
    for change in (lambda: revoke(store, "nobody"), lambda: rotate(store, "nobody", 1)):
        with pytest.raises(NoSuchChange, match="There is no key nobody"):
            change()
    assert not store.redis.exists(keys.API_KEYS)


def test_a_revocation_goes_through_when_the_memory_of_redis_is_full(store: Store) -> None:
    made = create(store, WISH)
    store.redis.config_set("maxmemory", 1)
    try:
        revoke(store, made.key.id)
    finally:
        store.redis.config_set("maxmemory", 0)
    assert stored(store, made.key.id).state(now(store)) == "revoked"


def test_of_many_rotations_at_once_one_is_done(store: Store) -> None:
    old = create(store, WISH).record

    def attempt(_: int) -> IssuedKey | None:
        try:
            return rotate(store, old.id, 60)
        except NoSuchChange:
            return None

    with ThreadPoolExecutor(16) as threads:
        done = [made for made in threads.map(attempt, range(16)) if made]
    assert [made.key.id for made in done] == [stored(store, old.id).successor]
    assert set(read_keys(store).records or {}) == {old.id, done[0].key.id}


def test_no_change_made_at_the_same_time_as_others_is_lost(store: Store) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(lambda _: create(store, WISH), range(64)))
        list(threads.map(lambda m: revoke(store, m.key.id), made[::2]))
    records = read_keys(store).records or {}
    assert set(records) == {m.key.id for m in made}
    assert {m.key.id for m in made[::2]} == {i for i, r in records.items() if r.revoked}


def test_a_rotation_whose_reply_was_lost_is_found_to_be_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = create(store, WISH).record
    run, lost = store.run, iter([True])

    def forgetful(script: object, *args: Any, **kwargs: Any) -> object:
        reply = run(script, *args, **kwargs)  # type: ignore[arg-type]
        # A repeated write finds that the version has changed.
        return 0 if script is WRITE_API_KEYS and next(lost, False) else reply

    monkeypatch.setattr(store, "run", forgetful)
    new = rotate(store, old.id, 60)
    assert stored(store, old.id).successor == new.key.id
    assert stored(store, new.key.id) == new.record


def test_every_change_has_a_version_of_its_own_that_never_comes_again(store: Store) -> None:
    assert read_keys(store).version == ""
    versions = []
    for _ in range(3):
        create(store, WISH)
        versions.append(int(read_keys(store).version))
    store.redis.flushall()
    create(store, WISH)
    versions.append(int(read_keys(store).version))
    assert all(earlier < later for earlier, later in pairwise(versions))

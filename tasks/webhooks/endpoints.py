"""Webhook endpoints: where an owner wants to be told of the ends of all its jobs, and how signed.

Each change is one script that compares with what was read, so that none undoes another.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tasks.config.settings import Settings
from tasks.jobs.model import Status
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.webhooks import PUT_ENDPOINT, PutEndpointArgs
from tasks.webhooks.signing_secrets import SealedSecret, opened, rotated

EVENTS = tuple(f"job.{status}" for status in Status if status.is_terminal)
DRIFT_EVENT = "pipeline.drift"  # of no job; for keys with the scope admin, and not by default
OF_OWNER = "by_owner"  # why an endpoint is disabled: its owner said so
GONE = "gone"  # likewise: it answered 410
FAILING = "failing"  # likewise: for too long no attempt at it succeeded

_ALPHABET = string.ascii_letters + string.digits


class TooManyEndpoints(Exception):  # an answer to a client, not a fault
    """The owner has as many as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"an owner may have {most} endpoints")
        self.most = most


@dataclass(frozen=True, slots=True)
class Endpoint:
    """created: Redis microseconds. secrets: those that sign now, newest first.

    disabled_reason: None while it is enabled, else OF_OWNER, GONE or FAILING.
    """

    id: str
    owner: str
    url: str
    events: tuple[str, ...]
    description: str
    enabled: bool
    created: int
    secrets: tuple[str, ...] = field(repr=False)
    disabled_reason: str | None = None
    kept: tuple[SealedSecret, ...] = field(repr=False, default=())

    @classmethod
    def read(
        cls, settings: Settings, owner: str, endpoint_id: str, text: str, now: int
    ) -> Endpoint:
        fields = orjson.loads(text)
        kept = tuple(SealedSecret(**one) for one in fields.pop("secrets"))
        fields["events"] = tuple(fields["events"])
        signing = opened(kept, settings.webhook_key, now)
        return cls(id=endpoint_id, owner=owner, secrets=signing, kept=kept, **fields)

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "url": self.url,
                "events": self.events,
                "description": self.description,
                "enabled": self.enabled,
                "created": self.created,
                "disabled_reason": self.disabled_reason,
                "secrets": self.kept,
            }
        )


def create(
    store: Store, owner: str, url: str, events: Sequence[str] = EVENTS, description: str = ""
) -> Endpoint:
    """A new endpoint, enabled, with a secret of its own. `url` must have been checked.

    Raises:
        TooManyEndpoints: the owner has as many as it may.
        redis.RedisError: Redis is out of reach, or full; nothing was made.
    """
    settings = store.settings
    endpoint_id = "we_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
    now = store.now_us()
    made = Endpoint(
        id=endpoint_id,
        owner=owner,
        url=url,
        events=tuple(events),
        description=description,
        enabled=True,
        created=now,
        secrets=(),
        kept=rotated((), settings.webhook_key, now, 0),
    )
    if _put(store, made, "") == "full":
        raise TooManyEndpoints(settings.max_webhook_endpoints)
    return _read(store, made.owner, made.id, made.dump().decode(), now)


def endpoints_of(store: Store, owner: str) -> list[Endpoint]:
    """All of an owner's, oldest first."""
    flat = store.execute("HGETALL", keys.endpoints(owner))
    now = store.now_us()
    pairs = zip(flat[::2], flat[1::2], strict=True)
    found = [_read(store, owner, endpoint_id, text, now) for endpoint_id, text in pairs]
    return sorted(found, key=lambda endpoint: (endpoint.created, endpoint.id))


def find(store: Store, owner: str, endpoint_id: str) -> Endpoint | None:
    text = store.execute("HGET", keys.endpoints(owner), endpoint_id)
    return _read(store, owner, endpoint_id, text, store.now_us()) if text else None


def update(store: Store, owner: str, endpoint_id: str, **changes: Any) -> Endpoint | None:
    """Change url, events, description or enabled; None if the owner has no such endpoint.

    A new url, or enabling it, makes a fresh start: earlier failures are forgotten.
    """
    if unknown := changes.keys() - {"url", "events", "description", "enabled"}:
        raise TypeError(f"not to be changed: {sorted(unknown)}")
    if "events" in changes:
        changes["events"] = tuple(changes["events"])
    if "enabled" in changes:
        changes["disabled_reason"] = None if changes["enabled"] else OF_OWNER
    fresh = "url" in changes or bool(changes.get("enabled"))
    return _change(store, owner, endpoint_id, lambda found, _: replace(found, **changes), fresh)


def rotate(store: Store, owner: str, endpoint_id: str) -> Endpoint | None:
    """A new secret; the one before signs too for `webhook_rotation_s`. None: no such endpoint."""
    settings = store.settings

    def renewed(found: Endpoint, now: int) -> Endpoint:
        kept = rotated(found.kept, settings.webhook_key, now, settings.webhook_rotation_s)
        return replace(found, kept=kept)

    return _change(store, owner, endpoint_id, renewed)


def disable(store: Store, owner: str, endpoint_id: str, reason: str) -> Endpoint | None:
    """Tell it of nothing more, until it is enabled again; None if there is none, or it was."""

    def disabled(found: Endpoint, _: int) -> Endpoint | None:
        return replace(found, enabled=False, disabled_reason=reason) if found.enabled else None

    return _change(store, owner, endpoint_id, disabled)


def delete(store: Store, owner: str, endpoint_id: str) -> bool:
    """Take it away; False if the owner has no such endpoint."""
    while text := store.execute("HGET", keys.endpoints(owner), endpoint_id):
        args = PutEndpointArgs(
            owner=owner,
            endpoint=endpoint_id,
            known=text,
            wanted="",
            events="",
            most_endpoints=0,
            forget_failures=1,
        )
        if store.run(PUT_ENDPOINT, args) == "done":
            return True
    return False


def _change(
    store: Store,
    owner: str,
    endpoint_id: str,
    changed: Callable[[Endpoint, int], Endpoint | None],
    fresh: bool = False,
) -> Endpoint | None:
    """Read, change and put back, again if somebody else was faster; None if there is none."""
    while text := store.execute("HGET", keys.endpoints(owner), endpoint_id):
        now = store.now_us()
        wanted = changed(_read(store, owner, endpoint_id, text, now), now)
        if wanted is None:
            return None
        if _put(store, wanted, text, fresh) == "done":
            return _read(store, owner, endpoint_id, wanted.dump().decode(), now)
    return None


def _put(store: Store, endpoint: Endpoint, known: str, fresh: bool = False) -> str:
    args = PutEndpointArgs(
        owner=endpoint.owner,
        endpoint=endpoint.id,
        known=known,
        wanted=endpoint.dump(),
        events=" ".join(endpoint.events) if endpoint.enabled else "",
        most_endpoints=store.settings.max_webhook_endpoints,
        forget_failures=int(fresh),
    )
    answer: str = store.run(PUT_ENDPOINT, args)
    return answer


def _read(store: Store, owner: str, endpoint_id: str, text: str, now: int) -> Endpoint:
    return Endpoint.read(store.settings, owner, endpoint_id, text, now)

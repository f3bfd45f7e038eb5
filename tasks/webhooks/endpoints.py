"""Webhook endpoints: URLs to which an owner's events are sent, with their signing secrets.

Each change is one script that compares the record with what was read, so no change undoes another.
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
from tasks.webhooks.signing_secrets import SealedSecret, unseal
from tasks.webhooks.signing_secrets import rotate as rotate_secrets

EVENTS = tuple(f"job.{status}" for status in Status if status.is_terminal)
DRIFT_EVENT = "pipeline.drift"  # belongs to no job; needs the scope admin, and is no default
# Why an endpoint is disabled
BY_OWNER = "by_owner"
GONE = "gone"  # it answered 410
FAILING = "failing"  # for too long no attempt at it succeeded

_ALPHABET = string.ascii_letters + string.digits


class TooManyEndpoints(Exception):  # an answer to a client, not a fault
    """The owner has as many endpoints as allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"an owner may have at most {most} endpoints")
        self.most = most


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint. created: Redis microseconds. secrets: those that sign now, newest first.

    disabled_reason: None while it is enabled, else BY_OWNER, GONE or FAILING. kept: its secrets as
    Redis has them, encrypted.
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
        """From its JSON in Redis. now: Redis microseconds, for which secrets sign."""
        fields = orjson.loads(text)
        kept = tuple(SealedSecret(**one) for one in fields.pop("secrets"))
        fields["events"] = tuple(fields["events"])
        signing = unseal(kept, settings.webhook_key, now)
        return cls(id=endpoint_id, owner=owner, secrets=signing, kept=kept, **fields)

    def dump(self) -> bytes:
        """As JSON, for Redis."""
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
    """Create an endpoint, enabled, with its own secret. `url` must have been checked.

    Raises:
        TooManyEndpoints: the owner has as many as allowed.
        redis.RedisError: Redis is out of reach, or full; nothing was created.
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
        kept=rotate_secrets((), settings.webhook_key, now, 0),
    )
    if _put(store, made, "") == "full":
        raise TooManyEndpoints(settings.max_webhook_endpoints)
    return _read(store, made.owner, made.id, made.dump().decode(), now)


def endpoints_of(store: Store, owner: str) -> list[Endpoint]:
    """All endpoints of an owner, oldest first."""
    flat = store.execute("HGETALL", keys.endpoints(owner))
    now = store.now_us()
    pairs = zip(flat[::2], flat[1::2], strict=True)
    found = [_read(store, owner, endpoint_id, text, now) for endpoint_id, text in pairs]
    return sorted(found, key=lambda endpoint: (endpoint.created, endpoint.id))


def find(store: Store, owner: str, endpoint_id: str) -> Endpoint | None:
    """Load an endpoint; None if the owner has no such endpoint."""
    text = store.execute("HGET", keys.endpoints(owner), endpoint_id)
    return _read(store, owner, endpoint_id, text, store.now_us()) if text else None


def update(store: Store, owner: str, endpoint_id: str, **changes: Any) -> Endpoint | None:
    """Change url, events, description or enabled; None if the owner has no such endpoint.

    After a new url, or when it is enabled again, earlier failures are forgotten.
    """
    if unknown := changes.keys() - {"url", "events", "description", "enabled"}:
        raise TypeError(f"fields that cannot be changed: {sorted(unknown)}")
    if "events" in changes:
        changes["events"] = tuple(changes["events"])
    if "enabled" in changes:
        changes["disabled_reason"] = None if changes["enabled"] else BY_OWNER
    fresh = "url" in changes or bool(changes.get("enabled"))
    return _change(store, owner, endpoint_id, lambda found, _: replace(found, **changes), fresh)


def rotate(store: Store, owner: str, endpoint_id: str) -> Endpoint | None:
    """Add a new secret; the old one signs too for `webhook_rotation_s`. None: no such endpoint."""
    settings = store.settings

    def renewed(found: Endpoint, now: int) -> Endpoint:
        kept = rotate_secrets(found.kept, settings.webhook_key, now, settings.webhook_rotation_s)
        return replace(found, kept=kept)

    return _change(store, owner, endpoint_id, renewed)


def disable(store: Store, owner: str, endpoint_id: str, reason: str) -> Endpoint | None:
    """Send no more events to it until it is enabled; None if there is none, or it was disabled."""

    def disabled(found: Endpoint, _: int) -> Endpoint | None:
        return replace(found, enabled=False, disabled_reason=reason) if found.enabled else None

    return _change(store, owner, endpoint_id, disabled)


def delete(store: Store, owner: str, endpoint_id: str) -> bool:
    """Delete an endpoint; False if the owner has no such endpoint."""
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
    """Read, change and write back, again after a concurrent change; None if there is none.

    fresh: forget earlier failures.
    """
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

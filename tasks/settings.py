"""Every setting: read once from the environment, validated, frozen, passed on.

`.env.example` explains each one to its reader; a test holds the two together.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range


class SettingsError(Exception):
    """The environment cannot be used; names each variable, its value and what is allowed."""


class _List(fields.Field[list[str]]):
    """A comma-separated list of words."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> list[str]:
        return [word.strip() for word in value.split(",") if word.strip()]


class _Networks(_List):
    """A comma-separated list of networks in CIDR notation (RFC 4632); one address is one too."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> list[str]:
        networks = super()._deserialize(value)
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValidationError(
                    f"Must be networks such as 10.0.0.0/8 or ::1, separated by commas: {error}."
                ) from None
        return networks


def _origins(given: list[str]) -> None:
    """Origins as browsers send them (RFC 6454), or * alone."""
    origin = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
    if given != ["*"] and not all(map(origin.fullmatch, given)):
        raise ValidationError(
            "Must be * or origins such as https://app.example.com, in lower case and without a "
            "path, separated by commas."
        )


class _Counts(_List):
    """A comma-separated list of whole numbers, one or more."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(validate=Length(min=1))
        self._number = fields.Integer(validate=Range(low, high))

    def _deserialize(self, value: str, *args: Any, **kwargs: Any) -> list[Any]:
        words = super()._deserialize(value, *args, **kwargs)
        return [self._number.deserialize(word) for word in words]


def _import_paths(given: list[str]) -> None:
    path = re.compile(r"[\w.]+:\w+")
    if wrong := [target for target in given if not path.fullmatch(target)]:
        raise ValidationError(f"Must look like package.module:attribute, unlike {wrong[0]!r}.")


def _from(env: str, field: fields.Field[Any], default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field that is read from the variable `env` by a marshmallow field."""
    return dataclasses.field(default=default, metadata={"env": env, "field": field})


def _secret(env: str) -> Any:
    field = fields.String(required=True, validate=Length(min=16))
    return dataclasses.field(repr=False, metadata={"env": env, "field": field, "secret": True})


def _signing_secret(env: str) -> Any:
    """An optional secret in the form of https://www.standardwebhooks.com."""
    field = fields.String(validate=_must_sign)
    metadata = {"env": env, "field": field, "secret": True}
    return dataclasses.field(default=None, repr=False, metadata=metadata)


def _must_sign(value: str) -> None:
    prefix, _, encoded = value.partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValidationError("It must be whsec_ and then base64 of 24 to 64 bytes.")


def _count(env: str, default: int, low: int = 1, high: int = 2**31) -> Any:
    return _from(env, fields.Integer(validate=Range(low, high)), default)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Units are in the names: `_ms` milliseconds, `_s` seconds, `_bytes` bytes, else counts."""

    # Where things are
    host: str = _from("PENSTOCK_HOST", fields.String(validate=Length(min=1)), "127.0.0.1")
    port: int = _count("PENSTOCK_PORT", 8000, high=65_535)
    web_workers: int = _count("PENSTOCK_WEB_WORKERS", 2, high=256)
    web_threads: int = _count("PENSTOCK_WEB_THREADS", 800, high=10_000)
    max_connections: int = _count("PENSTOCK_MAX_CONNECTIONS", 4_096, high=1_000_000)
    max_waiters: int = _count("PENSTOCK_MAX_WAITERS", 500, high=10_000)
    max_uploads: int = _count("PENSTOCK_MAX_UPLOADS", 64, high=10_000)
    flower_port: int = _count("FLOWER_PORT", 5555, high=65_535)
    redis_host: str = _from("REDIS_HOST", fields.String(validate=Length(min=1)), "127.0.0.1")
    redis_port: int = _count("REDIS_PORT", 6390, high=65_535)
    redis_db: int = _count("REDIS_DB", 0, low=0, high=15)
    redis_timeout_ms: int = _count("REDIS_TIMEOUT_MS", 5_000, low=100)

    # Secrets
    redis_password: str = _secret("REDIS_PASSWORD")
    api_key: str = _secret("PENSTOCK_API_KEY")
    key_pepper: str = _secret("PENSTOCK_KEY_PEPPER")
    webhook_key: str = _secret("PENSTOCK_WEBHOOK_KEY")
    webhook_secret: str | None = _signing_secret("WEBHOOK_SECRET")

    # Who may ask, and how much by default
    requests_per_s: int = _count("PENSTOCK_REQUESTS_PER_S", 50)
    items_per_s: int = _count("PENSTOCK_ITEMS_PER_S", 1_000)
    unfinished_items: int = _count("PENSTOCK_UNFINISHED_ITEMS", 50_000)
    max_wrong_keys: int = _count("PENSTOCK_MAX_WRONG_KEYS", 60)  # per minute
    trusted_proxies: tuple[str, ...] | None = _from("PENSTOCK_TRUSTED_PROXIES", _Networks(), None)

    # What is served
    pipelines: tuple[str, ...] = _from(
        "PENSTOCK_PIPELINES",
        _List(validate=[Length(min=1), _import_paths]),
        ("ml.moderation.pipeline:pipeline",),
    )
    enable_null: bool = _from("PENSTOCK_ENABLE_NULL", fields.Boolean(), False)

    # What a request may be
    max_body_bytes: int = _count("PENSTOCK_MAX_BODY_BYTES", 8 * 2**20, low=1_024)
    max_json_depth: int = _count("PENSTOCK_MAX_JSON_DEPTH", 16, low=4, high=200)
    max_json_keys: int = _count("PENSTOCK_MAX_JSON_KEYS", 10_000, low=1_000)
    max_inputs: int = _count("PENSTOCK_MAX_INPUTS", 1_000)
    max_upload_bytes: int = _count("PENSTOCK_MAX_UPLOAD_BYTES", 100 * 2**20, low=1_024)
    max_line_bytes: int = _count("PENSTOCK_MAX_LINE_BYTES", 64 * 1024, low=256, high=8 * 2**20)
    max_upload_lines: int = _count("PENSTOCK_MAX_UPLOAD_LINES", 50_000)
    upload_patience_ms: int = _count("PENSTOCK_UPLOAD_PATIENCE_MS", 60_000, low=1_000)
    max_metadata_bytes: int = _count("PENSTOCK_MAX_METADATA_BYTES", 4_096)
    max_header_bytes: int = _count("PENSTOCK_MAX_HEADER_BYTES", 64 * 2**10, low=8_192)
    header_timeout_s: int = _count("PENSTOCK_HEADER_TIMEOUT_S", 20, high=3_600)
    body_timeout_s: int = _count("PENSTOCK_BODY_TIMEOUT_S", 10, high=3_600)
    body_min_bytes_per_s: int = _count("PENSTOCK_BODY_MIN_BYTES_PER_S", 2_048)
    send_timeout_s: int = _count("PENSTOCK_SEND_TIMEOUT_S", 30, high=3_600)
    max_wait_s: int = _count("PENSTOCK_MAX_WAIT_S", 60, high=600)
    max_deadline_ms: int = _count("PENSTOCK_MAX_DEADLINE_MS", 86_400_000)
    max_page: int = _count("PENSTOCK_MAX_PAGE", 100, high=500)
    max_events_s: int = _count("PENSTOCK_MAX_EVENTS_S", 600, high=86_400)
    max_event_streams: int = _count("PENSTOCK_MAX_EVENT_STREAMS", 200, low=0, high=10_000)
    cors_origins: tuple[str, ...] | None = _from(
        "PENSTOCK_CORS_ORIGINS", _List(validate=_origins), None
    )

    # How keys are limited
    limiter_timeout_ms: int = _count("PENSTOCK_LIMITER_TIMEOUT_MS", 100, low=10)
    limiter_fail: str = _from(
        "PENSTOCK_LIMITER_FAIL", fields.String(validate=OneOf(["open", "closed"])), "open"
    )

    # How long things are kept
    result_ttl_s: int = _count("PENSTOCK_RESULT_TTL_S", 86_400)
    cache_ttl_s: int = _count("PENSTOCK_CACHE_TTL_S", 3_600, low=0)
    idempotency_ttl_s: int = _count("PENSTOCK_IDEMPOTENCY_TTL_S", 86_400)

    webhook_log_ttl_s: int = _count("PENSTOCK_WEBHOOK_LOG_TTL_S", 7 * 86_400)

    # How work is held
    lease_ms: int = _count("PENSTOCK_LEASE_MS", 15_000, low=1_000)
    renew_ms: int = _count("PENSTOCK_RENEW_MS", 5_000, low=100)
    sweep_ms: int = _count("PENSTOCK_SWEEP_MS", 1_000, low=50)
    gpu_patience_ms: int = _count("PENSTOCK_GPU_PATIENCE_MS", 10_000, low=0)
    drain_ms: int = _count("PENSTOCK_DRAIN_MS", 1_000)
    linger_ms: int = _count("PENSTOCK_LINGER_MS", 50, low=0, high=10_000)
    batch_wait_ms: int = _count("PENSTOCK_BATCH_WAIT_MS", 4, low=0, high=1_000)
    max_attempts: int = _count("PENSTOCK_MAX_ATTEMPTS", 3, high=100)
    max_lane_units: int = _count("PENSTOCK_MAX_LANE_UNITS", 100_000)
    max_lane_bytes: int = _count("PENSTOCK_MAX_LANE_BYTES", 256 * 2**20, low=1_024, high=2**40)
    redis_headroom_percent: int = _count("PENSTOCK_REDIS_HEADROOM_PERCENT", 10, low=0, high=90)
    max_dead: int = _count("PENSTOCK_MAX_DEAD", 10_000)
    rescue_ms: int = _count("PENSTOCK_RESCUE_MS", 5_000, low=100)
    breaker_failures: int = _count("PENSTOCK_BREAKER_FAILURES", 5)
    breaker_cool_down_ms: int = _count("PENSTOCK_BREAKER_COOL_DOWN_MS", 10_000, low=100)
    warm_up_s: int = _count("PENSTOCK_WARM_UP_S", 120)
    hard_limit_s: int = _count("PENSTOCK_HARD_LIMIT_S", 60)
    cpu_workers: int = _count("PENSTOCK_CPU_WORKERS", 1, high=256)
    visible_gpus: tuple[str, ...] | None = _from("CUDA_VISIBLE_DEVICES", _List(), None)

    # Webhooks
    max_webhook_endpoints: int = _count("PENSTOCK_MAX_WEBHOOK_ENDPOINTS", 16, high=1_000)
    webhook_rotation_s: int = _count("PENSTOCK_WEBHOOK_ROTATION_S", 86_400, low=0)
    webhook_http_hosts: tuple[str, ...] = _from("PENSTOCK_WEBHOOK_HTTP_HOSTS", _List(), ())
    webhook_ports: tuple[int, ...] = _from("PENSTOCK_WEBHOOK_PORTS", _Counts(1, 65_535), (80, 443))
    webhook_timeout_ms: int = _count("PENSTOCK_WEBHOOK_TIMEOUT_MS", 15_000, low=100, high=25_000)
    webhook_schedule_s: tuple[int, ...] = _from(
        "PENSTOCK_WEBHOOK_SCHEDULE_S",
        _Counts(0, 30 * 86_400),
        (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400),
    )
    webhook_concurrency: int = _count("PENSTOCK_WEBHOOK_CONCURRENCY", 256, high=10_000)
    webhook_line_concurrency: int = _count("PENSTOCK_WEBHOOK_LINE_CONCURRENCY", 8, high=16)
    webhook_failing_s: int = _count("PENSTOCK_WEBHOOK_FAILING_S", 5 * 86_400)

    # What is written about it
    log_level: str = _from(
        "LOG_LEVEL", fields.String(validate=OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])), "INFO"
    )
    log_format: str = _from(
        "LOG_FORMAT", fields.String(validate=OneOf(["json", "console"])), "json"
    )

    def __post_init__(self) -> None:
        if self.renew_ms * 2 > self.lease_ms:
            raise SettingsError(
                f"PENSTOCK_RENEW_MS={self.renew_ms} is not valid: it must be at most half of "
                f"PENSTOCK_LEASE_MS={self.lease_ms}, or one late renewal loses the lease."
            )
        if self.max_json_keys < 3 * self.max_inputs:
            raise SettingsError(
                f"PENSTOCK_MAX_JSON_KEYS={self.max_json_keys} is not valid: it must be at least "
                f"three times PENSTOCK_MAX_INPUTS={self.max_inputs}, or a full bulk job is refused."
            )
        if self.max_waiters + self.max_uploads + self.max_event_streams >= self.web_threads:
            raise SettingsError(
                f"PENSTOCK_WEB_THREADS={self.web_threads} is not valid: it must be more than "
                f"PENSTOCK_MAX_WAITERS={self.max_waiters}, PENSTOCK_MAX_UPLOADS={self.max_uploads} "
                f"and PENSTOCK_MAX_EVENT_STREAMS={self.max_event_streams} together, or those who "
                "wait leave nobody else a thread."
            )

    @property
    def served(self) -> tuple[str, ...]:
        """Import paths of the pipelines, the null one included when it is enabled."""
        return (*self.pipelines, "ml.null:pipeline") if self.enable_null else self.pipelines

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `env` (default: the process's environment).

        Raises:
            SettingsError: a variable is missing or wrong; all of them are named at once.
        """
        source = os.environ if env is None else env
        # An empty variable counts as unset, but CUDA reads an empty list of devices as "none".
        values = {k: v for k, v in source.items() if v != "" or k == "CUDA_VISIBLE_DEVICES"}
        try:
            loaded = _schema().load(values, unknown=EXCLUDE)
        except ValidationError as error:
            raise SettingsError(_explain(error, values)) from None
        frozen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in loaded.items()
        }
        return cls(**frozen)


def _schema() -> Schema:
    members: dict[str, fields.Field[Any]] = {}
    for member in dataclasses.fields(Settings):
        field = member.metadata["field"]
        field.data_key = member.metadata["env"]
        members[member.name] = field
    return Schema.from_dict(members)()


def _explain(error: ValidationError, values: Mapping[str, str]) -> str:
    secrets = {f.metadata["env"] for f in dataclasses.fields(Settings) if "secret" in f.metadata}
    lines = []
    for name, messages in sorted(error.normalized_messages().items()):
        if name not in values:
            lines.append(f"{name} is not set: it is required and has no default.")
            continue
        shown = "***" if name in secrets else values[name]
        lines.append(f"{name}={shown!r} is not valid: {' '.join(messages)}")
    return "\n".join(lines)

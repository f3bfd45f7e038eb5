"""Settings: read once from the environment, validated, frozen and passed on.

`.env.example` explains each one; a test compares the two.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf

from tasks.config.fields import (
    Counts,
    Networks,
    WordList,
    count,
    import_paths,
    optional_count,
    optional_secret,
    origins,
    price,
    read_from,
    secret,
    sentry_dsn,
    share,
    signing_secret,
)


class SettingsError(Exception):
    """The environment is not valid; the text names each variable, its value and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Units are in the names: `_ms` milliseconds, `_s` seconds, `_bytes` bytes."""

    # Addresses, and sizes of the web server
    host: str = read_from("PENSTOCK_HOST", fields.String(validate=Length(min=1)), "127.0.0.1")
    port: int = count("PENSTOCK_PORT", 8000, high=65_535)
    web_workers: int = count("PENSTOCK_WEB_WORKERS", 2, high=256)
    web_threads: int = count("PENSTOCK_WEB_THREADS", 800, high=10_000)
    max_connections: int = count("PENSTOCK_MAX_CONNECTIONS", 4_096, high=1_000_000)
    max_waiters: int = count("PENSTOCK_MAX_WAITERS", 500, high=10_000)
    max_uploads: int = count("PENSTOCK_MAX_UPLOADS", 64, high=10_000)
    flower_port: int = count("FLOWER_PORT", 5555, high=65_535)
    redis_host: str = read_from("REDIS_HOST", fields.String(validate=Length(min=1)), "127.0.0.1")
    redis_port: int = count("REDIS_PORT", 6390, high=65_535)
    redis_db: int = count("REDIS_DB", 0, low=0, high=15)
    redis_timeout_ms: int = count("REDIS_TIMEOUT_MS", 5_000, low=100)

    # Secrets
    redis_password: str = secret("REDIS_PASSWORD")
    api_key: str = secret("PENSTOCK_API_KEY")
    key_pepper: str = secret("PENSTOCK_KEY_PEPPER")
    webhook_key: str = secret("PENSTOCK_WEBHOOK_KEY")
    webhook_secret: str | None = signing_secret("WEBHOOK_SECRET")
    flower_user: str | None = optional_secret("FLOWER_USER", fields.String())
    flower_password: str | None = optional_secret("FLOWER_PASSWORD", fields.String())

    # Default limits of an API key
    requests_per_s: int = count("PENSTOCK_REQUESTS_PER_S", 50)
    items_per_s: int = count("PENSTOCK_ITEMS_PER_S", 1_000)
    unfinished_items: int = count("PENSTOCK_UNFINISHED_ITEMS", 50_000)
    max_wrong_keys: int = count("PENSTOCK_MAX_WRONG_KEYS", 60)  # per minute
    trusted_proxies: tuple[str, ...] | None = read_from(
        "PENSTOCK_TRUSTED_PROXIES", Networks(), None
    )

    # Pipelines
    pipelines: tuple[str, ...] = read_from(
        "PENSTOCK_PIPELINES",
        WordList(validate=[Length(min=1), import_paths]),
        ("ml.moderation.pipeline:pipeline",),
    )
    enable_null: bool = read_from("PENSTOCK_ENABLE_NULL", fields.Boolean(), False)

    # Limits of a request
    max_body_bytes: int = count("PENSTOCK_MAX_BODY_BYTES", 8 * 2**20, low=1_024)
    max_json_depth: int = count("PENSTOCK_MAX_JSON_DEPTH", 16, low=4, high=200)
    max_json_keys: int = count("PENSTOCK_MAX_JSON_KEYS", 10_000, low=1_000)
    max_inputs: int = count("PENSTOCK_MAX_INPUTS", 1_000)
    max_upload_bytes: int = count("PENSTOCK_MAX_UPLOAD_BYTES", 100 * 2**20, low=1_024)
    max_line_bytes: int = count("PENSTOCK_MAX_LINE_BYTES", 64 * 1024, low=256, high=8 * 2**20)
    max_upload_lines: int = count("PENSTOCK_MAX_UPLOAD_LINES", 50_000)
    upload_patience_ms: int = count("PENSTOCK_UPLOAD_PATIENCE_MS", 60_000, low=1_000)
    max_metadata_bytes: int = count("PENSTOCK_MAX_METADATA_BYTES", 4_096)
    max_header_bytes: int = count("PENSTOCK_MAX_HEADER_BYTES", 64 * 2**10, low=8_192)
    header_timeout_s: int = count("PENSTOCK_HEADER_TIMEOUT_S", 20, high=3_600)
    body_timeout_s: int = count("PENSTOCK_BODY_TIMEOUT_S", 10, high=3_600)
    body_min_bytes_per_s: int = count("PENSTOCK_BODY_MIN_BYTES_PER_S", 2_048)
    send_timeout_s: int = count("PENSTOCK_SEND_TIMEOUT_S", 30, high=3_600)
    max_wait_s: int = count("PENSTOCK_MAX_WAIT_S", 60, high=600)
    max_deadline_ms: int = count("PENSTOCK_MAX_DEADLINE_MS", 86_400_000)
    max_page: int = count("PENSTOCK_MAX_PAGE", 100, high=500)
    max_events_s: int = count("PENSTOCK_MAX_EVENTS_S", 600, high=86_400)
    max_event_streams: int = count("PENSTOCK_MAX_EVENT_STREAMS", 200, low=0, high=10_000)
    cors_origins: tuple[str, ...] | None = read_from(
        "PENSTOCK_CORS_ORIGINS", WordList(validate=origins), None
    )

    # Rate limiter
    limiter_timeout_ms: int = count("PENSTOCK_LIMITER_TIMEOUT_MS", 100, low=10)
    limiter_fail: str = read_from(
        "PENSTOCK_LIMITER_FAIL", fields.String(validate=OneOf(["open", "closed"])), "open"
    )

    # Retention
    result_ttl_s: int = count("PENSTOCK_RESULT_TTL_S", 86_400)
    cache_ttl_s: int = count("PENSTOCK_CACHE_TTL_S", 3_600, low=0)
    idempotency_ttl_s: int = count("PENSTOCK_IDEMPOTENCY_TTL_S", 86_400)

    webhook_log_ttl_s: int = count("PENSTOCK_WEBHOOK_LOG_TTL_S", 7 * 86_400)

    # Lanes, leases and workers
    lease_ms: int = count("PENSTOCK_LEASE_MS", 15_000, low=1_000)
    renew_ms: int = count("PENSTOCK_RENEW_MS", 5_000, low=100)
    sweep_ms: int = count("PENSTOCK_SWEEP_MS", 1_000, low=50)
    gpu_patience_ms: int = count("PENSTOCK_GPU_PATIENCE_MS", 10_000, low=0)
    drain_ms: int = count("PENSTOCK_DRAIN_MS", 1_000)
    linger_ms: int = count("PENSTOCK_LINGER_MS", 50, low=0, high=10_000)
    batch_wait_ms: int = count("PENSTOCK_BATCH_WAIT_MS", 4, low=0, high=1_000)
    max_attempts: int = count("PENSTOCK_MAX_ATTEMPTS", 3, high=100)
    max_lane_units: int = count("PENSTOCK_MAX_LANE_UNITS", 100_000)
    max_lane_bytes: int = count("PENSTOCK_MAX_LANE_BYTES", 256 * 2**20, low=1_024, high=2**40)
    redis_headroom_percent: int = count("PENSTOCK_REDIS_HEADROOM_PERCENT", 10, low=0, high=90)
    max_dead: int = count("PENSTOCK_MAX_DEAD", 10_000)
    rescue_ms: int = count("PENSTOCK_RESCUE_MS", 5_000, low=100)
    breaker_failures: int = count("PENSTOCK_BREAKER_FAILURES", 5)
    breaker_cool_down_ms: int = count("PENSTOCK_BREAKER_COOL_DOWN_MS", 10_000, low=100)
    warm_up_s: int = count("PENSTOCK_WARM_UP_S", 120)
    hard_limit_s: int = count("PENSTOCK_HARD_LIMIT_S", 60)
    cpu_workers: int = count("PENSTOCK_CPU_WORKERS", 1, high=256)
    cpu_workers_min: int | None = optional_count("PENSTOCK_CPU_WORKERS_MIN", high=256)
    cpu_workers_max: int | None = optional_count("PENSTOCK_CPU_WORKERS_MAX", high=256)
    visible_gpus: tuple[str, ...] | None = read_from("CUDA_VISIBLE_DEVICES", WordList(), None)

    # Autoscaling
    scale_target_wait_s: int = count("PENSTOCK_SCALE_TARGET_WAIT_S", 5, high=3_600)
    scale_cool_down_s: int = count("PENSTOCK_SCALE_COOL_DOWN_S", 60, high=86_400)
    scale_cpu_pool: bool = read_from("PENSTOCK_SCALE_CPU_POOL", fields.Boolean(), True)
    gpu_workers_min: int = count("PENSTOCK_GPU_WORKERS_MIN", 1, low=0, high=10_000)
    gpu_workers_max: int = count("PENSTOCK_GPU_WORKERS_MAX", 1, high=10_000)

    # Webhooks
    max_webhook_endpoints: int = count("PENSTOCK_MAX_WEBHOOK_ENDPOINTS", 16, high=1_000)
    webhook_rotation_s: int = count("PENSTOCK_WEBHOOK_ROTATION_S", 86_400, low=0)
    webhook_http_hosts: tuple[str, ...] = read_from("PENSTOCK_WEBHOOK_HTTP_HOSTS", WordList(), ())
    webhook_ports: tuple[int, ...] = read_from(
        "PENSTOCK_WEBHOOK_PORTS", Counts(1, 65_535), (80, 443)
    )
    webhook_timeout_ms: int = count("PENSTOCK_WEBHOOK_TIMEOUT_MS", 15_000, low=100, high=25_000)
    webhook_schedule_s: tuple[int, ...] = read_from(
        "PENSTOCK_WEBHOOK_SCHEDULE_S",
        Counts(0, 30 * 86_400),
        (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400),
    )
    webhook_concurrency: int = count("PENSTOCK_WEBHOOK_CONCURRENCY", 256, high=10_000)
    webhook_line_concurrency: int = count("PENSTOCK_WEBHOOK_LINE_CONCURRENCY", 8, high=16)
    webhook_failing_s: int = count("PENSTOCK_WEBHOOK_FAILING_S", 5 * 86_400)

    # Logs
    log_level: str = read_from(
        "LOG_LEVEL", fields.String(validate=OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])), "INFO"
    )
    log_format: str = read_from(
        "LOG_FORMAT", fields.String(validate=OneOf(["json", "console"])), "json"
    )
    log_jobs: bool = read_from("LOG_JOBS", fields.Boolean(), True)
    log_input_hash: bool = read_from("LOG_INPUT_HASH", fields.Boolean(), False)

    # Metrics, traces, Sentry and Flower
    metrics_port: int = count("PENSTOCK_METRICS_PORT", 9410, low=0, high=65_000)
    metrics_dir: str | None = read_from("PENSTOCK_METRICS_DIR", fields.String(), None)
    otlp_endpoint: str | None = read_from(
        "OTEL_EXPORTER_OTLP_ENDPOINT", fields.Url(require_tld=False), None
    )
    traces_per_s: int = count("PENSTOCK_TRACES_PER_S", 20, low=0)
    sentry_dsn: str | None = optional_secret(
        "SENTRY_DSN", fields.Url(require_tld=False, validate=sentry_dsn)
    )
    sentry_environment: str = read_from("SENTRY_ENVIRONMENT", fields.String(), "production")
    flower_jobs_per_s: int = count("PENSTOCK_FLOWER_JOBS_PER_S", 200, low=0)
    flower_read_only: bool = read_from("FLOWER_READ_ONLY", fields.Boolean(), True)

    # Drift of answered items from the data that the models were trained on
    drift_samples: int = count("PENSTOCK_DRIFT_SAMPLES", 2_000, low=0, high=100_000)
    drift_min_samples: int = count("PENSTOCK_DRIFT_MIN_SAMPLES", 500, low=50)
    drift_interval_s: int = count("PENSTOCK_DRIFT_INTERVAL_S", 3_600, low=1)
    drift_q: float = share("PENSTOCK_DRIFT_Q", 0.02)
    drift_min_effect: float = share("PENSTOCK_DRIFT_MIN_EFFECT", 0.1)

    # What a worker costs per hour, in whatever currency
    gpu_price: float | None = price("PENSTOCK_GPU_PRICE_PER_HOUR")
    cpu_price: float | None = price("PENSTOCK_CPU_PRICE_PER_HOUR")

    def __post_init__(self) -> None:
        if self.renew_ms * 2 > self.lease_ms:
            raise SettingsError(
                f"PENSTOCK_RENEW_MS={self.renew_ms} is not valid: it must be at most half of "
                f"PENSTOCK_LEASE_MS={self.lease_ms}, or one late renewal loses the lease."
            )
        for lane, lowest, highest in (
            ("GPU", self.gpu_workers_min, self.gpu_workers_max),
            ("CPU", *self.cpu_workers_range),
        ):
            if lowest > highest:
                raise SettingsError(
                    f"PENSTOCK_{lane}_WORKERS_MAX={highest} is not valid: it must be at least "
                    f"PENSTOCK_{lane}_WORKERS_MIN={lowest}."
                )
        if 0 < self.drift_samples < self.drift_min_samples:
            raise SettingsError(
                f"PENSTOCK_DRIFT_SAMPLES={self.drift_samples} is not valid: it must be 0, or at "
                f"least PENSTOCK_DRIFT_MIN_SAMPLES={self.drift_min_samples}, or no report has "
                "enough data."
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
                f"and PENSTOCK_MAX_EVENT_STREAMS={self.max_event_streams} together, or waiting "
                "requests leave no thread for others."
            )

    @property
    def cpu_workers_range(self) -> tuple[int, int]:
        """Fewest and most children of the cpu lane."""
        lowest, highest = self.cpu_workers_min, self.cpu_workers_max
        return (
            lowest or min(self.cpu_workers, highest or self.cpu_workers),
            highest or max(self.cpu_workers, lowest or self.cpu_workers),
        )

    @property
    def cpu_pool_scales(self) -> bool:
        """Whether the number of children of the cpu lane's worker follows the lane's load."""
        lowest, highest = self.cpu_workers_range
        return self.scale_cpu_pool and lowest < highest

    @property
    def served(self) -> tuple[str, ...]:
        """Import paths of the served pipelines, with the null pipeline if it is enabled."""
        return (*self.pipelines, "ml.null:pipeline") if self.enable_null else self.pipelines

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `env` (default: the process's environment).

        Raises:
            SettingsError: variables are missing or not valid; the text names all of them.
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

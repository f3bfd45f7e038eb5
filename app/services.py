"""Composition root: the objects that request handlers share, built once per process."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from celery import Celery
from flask import current_app
from marshmallow import Schema

from app.api_keys.cache import KeyCache
from app.api_keys.failed_attempts import FailedAttempts
from app.http.client_address import Network, parse_networks
from app.job_updates.event_stream import EventStreams
from app.job_updates.long_poll import LongPolls
from app.rate_limiting.limiter import RateLimiter
from app.rate_limiting.sliding_window import SlidingWindowStore
from app.schemas.job import JobReader
from app.schemas.list_query import list_query
from ml.catalog import load_pipelines
from ml.pipeline import Pipeline
from tasks.celery import make_celery
from tasks.config.settings import Settings
from tasks.queue.wakeups import Waker
from tasks.store.client import Store, connect
from tasks.telemetry.flower.job_events import flower_sinks
from tasks.telemetry.job_log import JobLog
from tasks.telemetry.sinks import JobSinks, Sink
from tasks.telemetry.tracing.job_spans import QueueSpans
from tasks.telemetry.tracing.setup import start_tracing

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

EXTENSION = "penstock"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers use beside the request; an extension of the application."""

    settings: Settings
    store: Store
    event_streams: EventStreams
    pipelines: Mapping[str, Pipeline]
    job_reader: JobReader
    list_query: Schema
    waker: Waker
    long_polls: LongPolls
    key_cache: KeyCache
    failed_attempts: FailedAttempts
    proxies: Sequence[Network]
    rate_limiter: RateLimiter
    job_sinks: JobSinks
    tracer: Tracer | None

    @classmethod
    def build(cls, settings: Settings) -> Services:
        """Build all of them from the settings."""
        pipelines = load_pipelines(settings.served)
        store = Store(connect(settings), settings)
        long_polls = LongPolls(store, settings.max_waiters)
        celery = make_celery(settings)
        tracer = start_tracing(settings, "web", f"{socket.gethostname()}-{os.getpid()}")
        return cls(
            settings=settings,
            store=store,
            event_streams=EventStreams(store, long_polls),
            pipelines=pipelines,
            job_reader=JobReader(pipelines, settings),
            list_query=list_query(settings.max_page),
            waker=Waker(celery),
            long_polls=long_polls,
            key_cache=KeyCache(store),
            failed_attempts=FailedAttempts(settings.max_wrong_keys),
            proxies=parse_networks(settings.trusted_proxies or ()),
            rate_limiter=RateLimiter(SlidingWindowStore(settings), settings.web_workers),
            job_sinks=JobSinks(_sinks(settings, celery, tracer)),
            tracer=tracer,
        )


def _sinks(settings: Settings, celery: Celery, tracer: Tracer | None) -> list[Sink]:
    """Log, traces and Flower events of the jobs that this process ends (cancelled or cached)."""
    logs: list[Sink] = [JobLog("web")] if settings.log_jobs else []
    spans: list[Sink] = [QueueSpans(tracer)] if tracer else []
    return [*logs, *spans, *flower_sinks(celery, settings, "web")]


def services() -> Services:
    """Return the services of the application that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])

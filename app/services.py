"""What a request handler needs, built once per process and found on the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from flask import current_app

from app.addresses import Network, networks
from app.events import Events
from app.key_ring import KeyRing
from app.limiter import Limiter
from app.schemas import JobReader
from app.waiting import Waiting
from app.windows import Windows
from app.wrong_keys import WrongKeys
from ml.catalog import load_pipelines
from ml.pipeline import Pipeline
from tasks.celery import make_celery
from tasks.flower_events import flower_sinks
from tasks.job_log import JobLog
from tasks.publish import Waker
from tasks.reports import Reporter, Sink
from tasks.settings import Settings
from tasks.store import Store, connect

EXTENSION = "penstock"


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    store: Store
    events: Events
    pipelines: Mapping[str, Pipeline]
    reader: JobReader
    waker: Waker
    waiting: Waiting
    key_ring: KeyRing
    wrong_keys: WrongKeys
    proxies: Sequence[Network]
    limiter: Limiter
    reporter: Reporter

    @classmethod
    def build(cls, settings: Settings) -> Services:
        pipelines = load_pipelines(settings.served)
        store = Store(connect(settings), settings)
        waiting = Waiting(store, settings.max_waiters)
        celery = make_celery(settings)
        logs: list[Sink] = [JobLog("web")] if settings.log_jobs else []
        return cls(
            settings=settings,
            store=store,
            events=Events(store, waiting),
            pipelines=pipelines,
            reader=JobReader(pipelines, settings),
            waker=Waker(celery),
            waiting=waiting,
            key_ring=KeyRing(store),
            wrong_keys=WrongKeys(settings.max_wrong_keys),
            proxies=networks(settings.trusted_proxies or ()),
            limiter=Limiter(Windows(settings), settings.web_workers),
            reporter=Reporter(logs + flower_sinks(celery, settings, "web")),
        )


def services() -> Services:
    """The services of the application that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])

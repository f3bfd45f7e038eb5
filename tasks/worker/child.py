"""One pool child of a worker: its executor, its threads, its start and its end."""

from __future__ import annotations

import gc
import os
import resource
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from billiard import current_process
from celery import Celery
from redis import RedisError

from ml.serving.device_faults import DeviceLost
from tasks.config.settings import Settings
from tasks.drift.monitor import DriftMonitor
from tasks.inference.executor import InferenceExecutor
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.queue.wakeups import wake
from tasks.store.client import Store, connect
from tasks.telemetry.flower.job_events import flower_sinks
from tasks.telemetry.job_log import JobLog
from tasks.telemetry.logs import get_logger
from tasks.telemetry.metrics.process import process_metrics
from tasks.telemetry.sentry.failures import redis_failed
from tasks.telemetry.sinks import JobSinks, Sink
from tasks.telemetry.tracing.job_spans import QueueSpans
from tasks.telemetry.tracing.setup import start_tracing
from tasks.worker import devices, failures
from tasks.worker.graceful_exit import GracefulExit
from tasks.worker.heartbeat import SharedHeartbeats
from tasks.worker.maintenance import Maintenance
from tasks.worker.poller import FallbackPoller
from tasks.worker.utilization import Utilization, share_of
from tasks.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer
    from tasks.webhooks.delivery.executor import DeliveryExecutor

log = get_logger(__name__)

MOST_FILES = 65_536


class Child:
    """What one pool child holds: its place in the lane, its models, its housekeeper."""

    def __init__(
        self, settings: Settings, lane: Lane, celery: Celery, parent: int, pulse: SharedHeartbeats
    ) -> None:
        started = time.monotonic()
        index: int = current_process().index  # type: ignore[attr-defined]
        pulse.begin(index)
        device = devices.pin(settings, lane, index)
        self.celery = celery
        self.worker = Consumer(Store(connect(settings, 4), settings), lane)
        self.tracer = start_tracing(settings, lane, self.worker.name)
        job_sinks = JobSinks(sinks(settings, celery, self.worker, self.tracer))
        self.work: InferenceExecutor | DeliveryExecutor
        worked_s = None
        if lane is Lane.WEBHOOKS:
            self.work = load_webhooks(self.worker, celery, self.tracer)
        else:
            runtimes = load_runtimes(settings, lane, device)
            self.work = InferenceExecutor(self.worker, runtimes, celery, job_sinks, self.tracer)
            worked_s = partial(getattr, self.work, "worked_s")
        self.work.note = partial(pulse.note, index)
        self.goodbye = partial(pulse.end, index)
        self.threads: list[DriftMonitor | Maintenance | FallbackPoller | Watchdog | Utilization] = [
            FallbackPoller(self.work, self.run_batches, settings),
            Watchdog(self.work, partial(pulse.beat, index), settings, self.goodbye),
            Maintenance(self.worker, celery, parent, job_sinks, worked_s),
        ]
        if worked_s:
            name = devices.name_of(settings, lane, index)
            share = share_of(device, worked_s)
            self.threads.append(Utilization(lane, name, share))
        if isinstance(self.work, InferenceExecutor):
            pipelines = [runtime.pipeline for runtime in runtimes.values()]
            self.threads.append(DriftMonitor(self.worker, celery, self.work.sampler, pipelines))
        seconds = round(time.monotonic() - started, 2)
        log.info("worker ready", lane=lane, device=device, child=index, load_seconds=seconds)

    def start(self) -> None:
        for thread in self.threads:
            thread.start()
        settings, lane = self.worker.store.settings, self.worker.lane
        if devices.scales(settings, lane):
            GracefulExit(self.work, self.retire, settings.hard_limit_s).start()
            wake(self.celery, lane)  # those that there are may go round among the others, all busy

    def run_batches(self) -> int:
        """Returns the number of batches that were run."""
        try:
            return self.work.run_batches()
        except RedisError as error:
            log.warning("batch left to its lease", error=str(error))
            redis_failed(error)
        except DeviceLost as error:
            log.critical("device lost: ending this process", error=str(error))
            failures.device_lost(error)
            self.goodbye()
            os._exit(1)
        return 0

    def retire(self) -> None:
        """The end of a child that is no longer wanted."""
        self.stop()
        self.goodbye()
        os._exit(0)

    def stop(self) -> None:
        if not isinstance(self.work, InferenceExecutor):
            self.work.stop()  # first, as it needs its leases until the end
        for thread in self.threads:
            thread.stop()
        try:
            self.worker.deregister()
        except RedisError as error:
            log.warning("left without saying so", error=str(error))
        if self.tracer:
            self.tracer.stop()


def sinks(
    settings: Settings, celery: Celery, worker: Consumer, tracer: Tracer | None
) -> list[Sink]:
    """Who is told of the jobs that this child ends."""
    logs: list[Sink] = [JobLog(worker.name)] if settings.log_jobs else []
    spans: list[Sink] = [QueueSpans(tracer)] if tracer else []
    return [*logs, *spans, *flower_sinks(celery, settings, worker.lane)]


def load_webhooks(worker: Consumer, celery: Celery, tracer: Tracer | None) -> DeliveryExecutor:
    """The HTTP client, and the process made fit for it; other lanes' workers do without."""
    from tasks.webhooks.delivery.executor import DeliveryExecutor  # noqa: PLC0415

    say_where_webhooks_may_go(worker.store.settings)
    allow_many_connections()
    webhooks = DeliveryExecutor(worker, celery, tracer=tracer)
    spare_the_garbage_collector()
    return webhooks


def say_where_webhooks_may_go(settings: Settings) -> None:
    if named := settings.webhook_http_hosts:
        text = "webhooks may go by http, and to this machine, for some hosts: for development only"
        log.warning(text, hosts=named, setting="PENSTOCK_WEBHOOK_HTTP_HOSTS")
    else:
        log.info("webhooks go by https to public addresses alone")


def allow_many_connections() -> None:
    """Each attempt has one, and those of the last seconds are kept for the next."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spare_the_garbage_collector() -> None:
    """What is loaded by now stays: looking through it held deliveries up for 60 ms at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as in app.wsgi


def load_runtimes(settings: Settings, lane: Lane, device: str) -> dict[str, Any]:
    """Every served pipeline, loaded on `device` and warm. The cpu lane starts at its own tier."""
    import torch  # noqa: PLC0415 - the parent process must never load it

    from ml.catalog import load_pipelines  # noqa: PLC0415
    from ml.serving.runtime import Runtime  # noqa: PLC0415

    torch.set_num_threads(devices.threads(lane))
    runtimes = {}
    for name, pipeline in load_pipelines(settings.served).items():
        top = (pipeline.cpu_tier or pipeline.tiers[-1].name) if lane is Lane.CPU else None
        began = time.monotonic()
        runtimes[name] = Runtime.load(pipeline, device, top)
        runtimes[name].warm_up()
        process_metrics().load.labels(name, lane).set(time.monotonic() - began)
        process_metrics().budget.labels(name, lane).set(runtimes[name].batch_tokens)
    return runtimes

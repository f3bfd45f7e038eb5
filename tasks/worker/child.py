"""A pool child of a worker: its executor and its threads, from start to stop."""

from __future__ import annotations

import gc
import os
import resource
import time
from functools import partial
from typing import TYPE_CHECKING

from billiard import current_process
from celery import Celery
from redis import RedisError

from ml.serving.device_faults import DeviceLost
from tasks.config.settings import Settings
from tasks.drift.monitor import DriftMonitor
from tasks.inference.executor import InferenceExecutor
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.queue.executor import LaneExecutor
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
from tasks.worker.utilization import Utilization, utilization_of
from tasks.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from ml.serving.runtime import Runtime
    from tasks.telemetry.tracing.tracer import Tracer
    from tasks.webhooks.delivery.executor import DeliveryExecutor

log = get_logger(__name__)

MAX_OPEN_FILES = 65_536

Thread = DriftMonitor | FallbackPoller | Maintenance | Utilization | Watchdog


class Child:
    """A pool child: the executor of its lane, and the threads beside it.

    parent: the process id of the worker, as the worker itself saw it.

    Raises:
        Exception: it cannot start: Redis, a pipeline or the device is not usable.
    """

    def __init__(
        self,
        settings: Settings,
        lane: Lane,
        celery: Celery,
        parent: int,
        heartbeats: SharedHeartbeats,
    ) -> None:
        started = time.monotonic()
        index: int = current_process().index  # type: ignore[attr-defined]
        heartbeats.register(index)
        device = devices.pin(settings, lane, index)
        self._celery = celery
        self._consumer = Consumer(Store(connect(settings, 4), settings), lane)
        self._tracer = start_tracing(settings, lane, self._consumer.name)
        self._sinks = JobSinks(self._job_sinks())
        self._unregister = partial(heartbeats.unregister, index)
        self._executor: LaneExecutor
        self._threads: list[Thread] = []
        if lane is Lane.WEBHOOKS:
            self._executor = load_delivery_executor(self._consumer, celery, self._tracer)
            self._threads.append(Maintenance(self._consumer, celery, parent, self._sinks))
        else:
            self._executor = self._load_inference(device, index, parent)
        self._executor.publish_tags = partial(heartbeats.set_tags, index)
        self._threads[:0] = [  # first, as the watchdog's heartbeat shows that the child has begun
            FallbackPoller(self._executor, self.run_batches, settings),
            Watchdog(self._executor, partial(heartbeats.beat, index), settings, self._unregister),
        ]
        seconds = round(time.monotonic() - started, 2)
        log.info("worker ready", lane=lane, device=device, child=index, load_seconds=seconds)

    def start(self) -> None:
        """Start the threads; only now does the child take work."""
        for thread in self._threads:
            thread.start()
        settings, lane = self._consumer.store.settings, self._consumer.lane
        if devices.scales(settings, lane):
            GracefulExit(self._executor, self.exit, settings.hard_limit_s).start()
            # Wake-ups may all be with the other children, which are busy
            wake(self._celery, lane)

    def run_batches(self) -> int:
        """Drain the lane, and handle what may go wrong; returns the number of batches."""
        try:
            return self._executor.run_batches()
        except RedisError as error:
            log.warning("batch left to its lease", error=str(error))
            redis_failed(error)
        except DeviceLost as error:
            log.critical("device lost: ending this process", error=str(error))
            failures.device_lost(error)
            self._unregister()
            os._exit(1)
        return 0

    def exit(self) -> None:
        """Stop and end the process, because the pool no longer needs it."""
        self.stop()
        self._unregister()
        os._exit(0)

    def stop(self) -> None:
        """Stop the executor, then the threads that renew its leases, and deregister."""
        self._executor.stop()
        for thread in self._threads:
            thread.stop()
        try:
            self._consumer.deregister()
        except RedisError as error:
            log.warning("worker not deregistered", error=str(error))
        if self._tracer:
            self._tracer.stop()

    def _job_sinks(self) -> list[Sink]:
        """Where the jobs that this child finishes are reported."""
        settings, consumer = self._consumer.store.settings, self._consumer
        logs: list[Sink] = [JobLog(consumer.name)] if settings.log_jobs else []
        spans: list[Sink] = [QueueSpans(self._tracer)] if self._tracer else []
        return [*logs, *spans, *flower_sinks(self._celery, settings, consumer.lane)]

    def _load_inference(self, device: str, index: int, parent: int) -> InferenceExecutor:
        """Load the models, and make the threads that only a child with models has."""
        consumer, celery = self._consumer, self._celery
        settings, lane = consumer.store.settings, consumer.lane
        runtimes = load_runtimes(settings, lane, device)
        executor = InferenceExecutor(consumer, runtimes, celery, self._sinks, self._tracer)
        worked_s = partial(getattr, executor, "worked_s")
        pipelines = [runtime.pipeline for runtime in runtimes.values()]
        name = devices.name_of(settings, lane, index)
        self._threads += [
            Maintenance(consumer, celery, parent, self._sinks, worked_s),
            Utilization(lane, name, utilization_of(device, worked_s)),
            DriftMonitor(consumer, celery, executor.sampler, pipelines),
        ]
        return executor


def load_delivery_executor(
    consumer: Consumer, celery: Celery, tracer: Tracer | None
) -> DeliveryExecutor:
    """Import the HTTP client, which other lanes do not need, and prepare the process for it."""
    from tasks.webhooks.delivery.executor import DeliveryExecutor  # noqa: PLC0415

    log_url_policy(consumer.store.settings)
    raise_open_file_limit()
    executor = DeliveryExecutor(consumer, celery, tracer=tracer)
    freeze_loaded_objects()
    return executor


def log_url_policy(settings: Settings) -> None:
    """Log to which hosts webhooks are allowed."""
    if named := settings.webhook_http_hosts:
        text = "webhooks may use http and loopback addresses for some hosts: for development only"
        log.warning(text, hosts=named, setting="PENSTOCK_WEBHOOK_HTTP_HOSTS")
    else:
        log.info("webhooks use https and public addresses only")


def raise_open_file_limit() -> None:
    """Allow a connection for each request, and those that are kept open for reuse."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def freeze_loaded_objects() -> None:
    """Exclude what is loaded by now from garbage collection.

    It stays anyway, and scanning it delayed deliveries by 60 ms at a time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # the same thresholds as in app.wsgi


def load_runtimes(settings: Settings, lane: Lane, device: str) -> dict[str, Runtime]:
    """Load and warm up every served pipeline on `device`; the cpu lane starts at its own tier."""
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

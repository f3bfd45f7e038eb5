"""The Celery application of a worker: one task, and the signals that start and end children."""

from __future__ import annotations

import os
import signal
from typing import Any

from billiard import current_process
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready
from sentry_sdk.integrations.celery import CeleryIntegration

from tasks.autoscaling.pool_autoscaler import autoscaler_for
from tasks.celery import RUN_BATCHES, make_celery
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.telemetry.logs import configure_logs, get_logger
from tasks.telemetry.sentry import client as sentry
from tasks.worker import crash_reports, devices, failures
from tasks.worker.child import Child
from tasks.worker.graceful_exit import block_sigterm
from tasks.worker.heartbeat import HeartbeatMonitor, SharedHeartbeats

log = get_logger(__name__)


def build(settings: Settings, lane: Lane) -> Celery:
    """The Celery application of one lane's worker, with its task and its children's life."""
    sentry.install(settings, "worker", CeleryIntegration(propagate_traces=False), lane=lane)
    celery = make_celery(settings)
    celery.conf.worker_autoscaler = autoscaler_for(settings, lane)
    children: list[Child] = []
    parent = os.getpid()
    pulse = SharedHeartbeats(devices.most_children(settings, lane))
    guard = HeartbeatMonitor(pulse, settings)

    @celery.task(name=RUN_BATCHES)
    def run_batches(_lane: str) -> None:
        children[0].run_batches()

    @worker_ready.connect(weak=False)
    def watch(sender: Any, **_: object) -> None:
        if not guard.is_alive():  # a worker is ready again after each reconnect
            guard.start()
            crash_reports.watch(sender.pool._pool, pulse)

    @worker_process_init.connect(weak=False)
    def start(**_: object) -> None:
        if devices.scales(settings, lane):
            block_sigterm()
        configure_logs(settings)
        sentry.install(settings, "worker", CeleryIntegration(propagate_traces=False), lane=lane)
        try:
            child = Child(settings, lane, celery, parent, pulse)
        except Exception as error:
            pulse.end(current_process().index)  # type: ignore[attr-defined]
            stop_worker(lane, error)
        children.append(child)
        child.start()

    @worker_process_shutdown.connect(weak=False)
    def stop(**_: object) -> None:
        for child in children:
            child.stop()

    return celery


def stop_worker(lane: Lane, error: Exception) -> None:
    """A failed start is the whole worker's: Celery alone would fork children for ever."""
    log.critical("worker cannot start", lane=lane, error=str(error), exc_info=error)
    failures.cannot_start(error)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)

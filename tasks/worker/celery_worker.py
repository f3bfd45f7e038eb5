"""The Celery application of a worker: its one task, and the start and stop of its pool children."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

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
    """Build the Celery application of one lane's worker."""
    install_sentry(settings, lane)
    celery = make_celery(settings)
    celery.conf.worker_autoscaler = autoscaler_for(settings, lane)
    handlers = SignalHandlers(settings, lane, celery)

    @celery.task(name=RUN_BATCHES)
    def run_batches(_lane: str) -> None:
        handlers.children[0].run_batches()

    worker_ready.connect(handlers.worker_ready, weak=False)
    worker_process_init.connect(handlers.child_started, weak=False)
    worker_process_shutdown.connect(handlers.child_stopping, weak=False)
    return celery


class SignalHandlers:
    """Handlers of Celery's signals, in the parent and in each pool child.

    children: empty in the parent; in a pool child its only member is that child.
    """

    def __init__(self, settings: Settings, lane: Lane, celery: Celery) -> None:
        self._settings = settings
        self._lane = lane
        self._celery = celery
        self._parent = os.getpid()
        self._heartbeats = SharedHeartbeats(devices.most_children(settings, lane))
        self._monitor = HeartbeatMonitor(self._heartbeats, settings)
        self.children: list[Child] = []

    def worker_ready(self, sender: Any, **_: object) -> None:
        """In the parent: watch the children's heartbeats and their exits."""
        if not self._monitor.is_alive():  # Celery sends this again after each reconnect
            self._monitor.start()
            crash_reports.watch(sender.pool._pool, self._heartbeats)

    def child_started(self, **_: object) -> None:
        """In a new child: load the models and start; if that fails, stop the whole worker."""
        if devices.scales(self._settings, self._lane):
            block_sigterm()
        configure_logs(self._settings)
        install_sentry(self._settings, self._lane)
        child = self._load_child()
        self.children.append(child)
        child.start()

    def child_stopping(self, **_: object) -> None:
        """In a child that Celery stops."""
        for child in self.children:
            child.stop()

    def _load_child(self) -> Child:
        try:
            return Child(self._settings, self._lane, self._celery, self._parent, self._heartbeats)
        except Exception as error:
            self._heartbeats.unregister(current_process().index)  # type: ignore[attr-defined]
            stop_worker(self._lane, error)


def install_sentry(settings: Settings, lane: Lane) -> None:
    """Report the errors of this process to Sentry, if there is a DSN."""
    sentry.install(settings, "worker", CeleryIntegration(propagate_traces=False), lane=lane)


def stop_worker(lane: Lane, error: Exception) -> NoReturn:
    """Stop the whole worker after a failed start: Celery alone would fork children for ever."""
    log.critical("worker cannot start", lane=lane, error=str(error), exc_info=error)
    failures.cannot_start(error)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)

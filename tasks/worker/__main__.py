"""A Celery worker for one lane: `python -m tasks.worker gpu|cpu|webhooks`.

The parent process consumes wake-ups and never imports torch or touches CUDA. Each pool child pins
itself to its device, loads and warms up its models, and only then takes work. A child that cannot
start logs the reason and stops the worker, so that its supervisor sees a failing process.
"""

from __future__ import annotations

import os
import sys

from tasks.celery import queue_of
from tasks.config.settings import Settings, SettingsError
from tasks.config.unknown_variables import find_unknown_variables
from tasks.jobs.lanes import Lane
from tasks.telemetry.logs import configure_logs, get_logger
from tasks.telemetry.metrics.multiprocess import open_metrics_folder
from tasks.telemetry.metrics.process import WORKER_METRICS, collector_of
from tasks.telemetry.metrics.server import MetricsServer
from tasks.worker import devices
from tasks.worker.celery_worker import build

log = get_logger(__name__)


def serve_metrics(settings: Settings, lane: Lane) -> None:
    """Open the folder in which the children's metrics meet, and serve them if a port is set.

    Raises:
        SettingsError: the folder cannot be used.
    """
    folder = open_metrics_folder(settings, lane)
    if settings.metrics_port:
        MetricsServer(collector_of(folder, WORKER_METRICS), settings, lane).start()


def main(argv: list[str]) -> int:
    """Run the worker of the lane in `argv` until it is stopped; returns the exit status."""
    if len(argv) != 1 or argv[0] not in list(Lane):
        print(f"usage: python -m tasks.worker {'|'.join(Lane)}", file=sys.stderr)  # noqa: T201
        return 2
    lane = Lane(argv[0])
    try:
        settings = Settings.from_env()
        configure_logs(settings)
        for variable, nearest in find_unknown_variables(os.environ):
            log.warning("no such setting: ignored", variable=variable, nearest=nearest)
        serve_metrics(settings, lane)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    if lane is Lane.GPU and not devices.visible_gpus(settings):
        log.warning("no GPU is visible: the gpu lane runs on the CPU")
    return build(settings, lane).worker_main(["--quiet", "worker", *celery_options(settings, lane)])


def celery_options(settings: Settings, lane: Lane) -> list[str]:
    """Command-line options of Celery's worker."""
    fewest, most = devices.pool_size(settings, lane), devices.most_children(settings, lane)
    options = ["--pool=prefork", f"--concurrency={fewest}"]
    if devices.scales(settings, lane):
        options.append(f"--autoscale={most},{fewest}")
    options += [f"--queues={queue_of(lane)}", f"--hostname={lane}@%h"]
    options += ["--without-gossip", "--without-mingle", f"--loglevel={settings.log_level}"]
    if settings.flower_jobs_per_s:
        options.append("--task-events")  # Flower shows batches as the tasks that ran them
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Multiprocess metrics: shared files in which the processes of a group count, for one scrape.

A group is the web server, or the worker of one lane. prometheus_client keeps each process's counts
in memory-mapped files, which survive a SIGKILL. It names them by process id, so each process that
dies would leave files behind for ever. Here they are named by slot: the lowest number whose lock is
free. The kernel releases a process's lock however the process ends, and the next process that takes
the slot continues its counts. So there are never more files than processes that lived at once.
Gauges, which are true of living processes only, are deleted with their process.

    {group}/               emptied by the group's parent when it starts
    {group}/{slot}.lock    locked by the process that counts there
    {group}/{type}_{slot}.db, gauge_{mode}_{slot}.db   prometheus_client's
    {group}.lock           locked by the parent: a second worker of a lane takes {group}-2
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tasks.config.settings import Settings, SettingsError

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client, in child processes too


def open_metrics_folder(settings: Settings, group: str) -> Path:
    """Create the group's folder and set the variable for child processes. Called by their parent.

    Raises:
        SettingsError: PENSTOCK_METRICS_DIR cannot be written to.
    """
    try:
        parent = settings.metrics_dir
        folder = _named_folder(Path(parent), group) if parent else _temporary_folder()
    except OSError as error:
        raise SettingsError(
            f"PENSTOCK_METRICS_DIR={settings.metrics_dir!r} is not valid: it must be a folder that "
            f"this process may write to ({error.strerror})."
        ) from None
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def take_slot(folder: Path) -> int:
    """Lock the lowest number that no living process has, until this process ends."""
    for slot in itertools.count():
        if _lock(folder / f"{slot}.lock") is not None:  # never closed: the kernel does that
            for stale in folder.glob(f"gauge_*_{slot}.db"):
                stale.unlink(missing_ok=True)
            return slot
    raise AssertionError


class FolderCollector(Collector):
    """Collects the metrics of all processes of a group. families: to show, even without data."""

    def __init__(self, folder: Path, families: Sequence[Metric]) -> None:
        self._folder = folder
        self._families = families

    def collect(self) -> Iterator[Metric]:
        files = [str(path) for path in sorted(self._folder.glob("*.db")) if _is_valid(path)]
        found: Iterable[Metric] = MultiProcessCollector.merge(files)
        by_name = {metric.name: metric for metric in found}
        for family in self._families:
            yield by_name.get(family.name, family)


def _named_folder(parent: Path, group: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (group if number == 1 else f"{group}-{number}")
        if _lock(folder.with_name(f"{folder.name}.lock")) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            return folder
    raise AssertionError


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="penstock-metrics-"))
    parent = os.getpid()

    @atexit.register
    def remove() -> None:
        if os.getpid() == parent:
            shutil.rmtree(folder, ignore_errors=True)

    return folder


def _lock(path: Path) -> int | None:
    """Lock a file; returns the handle that holds the lock, None if another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _is_valid(path: Path) -> bool:
    """Whether a file has data that is still valid. A new file is empty for a moment."""
    try:
        if path.stat().st_size == 0:
            return False
    except FileNotFoundError:
        return False
    if not path.name.startswith("gauge_"):
        return True
    slot = path.stem.rpartition("_")[2]
    handle = _lock(path.with_name(f"{slot}.lock"))
    if handle is None:
        return True
    os.close(handle)
    return False

"""Where the processes of a group count what each sees, so that any of them can tell the whole.

A group is the web server, or the worker of one lane. prometheus_client keeps every process's counts
in files of its own, shared memory in effect: they outlive a SIGKILL. It names them by process id,
so that each process that dies would leave files behind for good. Here they are named by *place*:
the lowest number whose lock is free. The kernel frees the lock of a process however that ends, and
the next one that takes the place goes on counting where the other stopped. So there are never more
files than processes lived at once. What is true of living processes only (a gauge) goes with them.

    {group}/               emptied by the group's parent when it starts
    {group}/{place}.lock   locked by the process that counts there
    {group}/{type}_{place}.db, gauge_{mode}_{place}.db   prometheus_client's
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

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client looks, in children too


def open_metrics_folder(settings: Settings, group: str) -> Path:
    """Make the group's folder and name it to this process's children. For their parent.

    Raises:
        SettingsError: PENSTOCK_METRICS_DIR cannot be written to.
    """
    try:
        folder = _kept(Path(settings.metrics_dir), group) if settings.metrics_dir else _passing()
    except OSError as error:
        raise SettingsError(
            f"PENSTOCK_METRICS_DIR={settings.metrics_dir!r} is not valid: it must be a folder that "
            f"this process may write to ({error.strerror})."
        ) from None
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def take_slot(folder: Path) -> int:
    """The lowest number that no living process has; ours until this process ends."""
    for place in itertools.count():
        if _lock(folder / f"{place}.lock") is not None:  # never closed: the kernel does that
            for left in folder.glob(f"gauge_*_{place}.db"):
                left.unlink(missing_ok=True)
            return place
    raise AssertionError


class FolderCollector(Collector):
    """What all processes of the group have counted. families: those to show, counted or not."""

    def __init__(self, folder: Path, families: Sequence[Metric]) -> None:
        self._folder = folder
        self._families = families

    def collect(self) -> Iterator[Metric]:
        files = [str(path) for path in sorted(self._folder.glob("*.db")) if _counts(path)]
        found: Iterable[Metric] = MultiProcessCollector.merge(files)
        by_name = {metric.name: metric for metric in found}
        for family in self._families:
            yield by_name.get(family.name, family)


def _kept(parent: Path, group: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (group if number == 1 else f"{group}-{number}")
        if _lock(folder.with_name(f"{folder.name}.lock")) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            return folder
    raise AssertionError


def _passing() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="penstock-metrics-"))
    parent = os.getpid()

    @atexit.register
    def remove() -> None:
        if os.getpid() == parent:
            shutil.rmtree(folder, ignore_errors=True)

    return folder


def _lock(path: Path) -> int | None:
    """A handle that holds the lock; None if another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _counts(path: Path) -> bool:
    """Whether a file has anything that is still true. A new one is empty for a moment."""
    try:
        if path.stat().st_size == 0:
            return False
    except FileNotFoundError:
        return False
    if not path.name.startswith("gauge_"):
        return True
    place = path.stem.rpartition("_")[2]
    handle = _lock(path.with_name(f"{place}.lock"))
    if handle is None:
        return True
    os.close(handle)
    return False

"""Counts of several processes in one folder: none is lost with a process, no file is left over."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tasks.config.settings import Settings, SettingsError
from tasks.telemetry.metrics.multiprocess import FOLDER_VARIABLE, open_metrics_folder
from tasks.telemetry.metrics.process import BATCH_ITEMS, CLAIM, LOAD, WORKER_METRICS, collector_of

COUNTS = """
import sys
from tasks.telemetry.metrics.process import process_metrics
for word in sys.argv[1:]:
    process_metrics().claim.labels("gpu").observe(0.001)
    process_metrics().load.labels("null", "gpu").set(float(word))
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "")  # so that what a test sets there is unset behind it


@contextmanager
def counting(folder: Path, *loads: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has counted a claim per load, and lives until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", COUNTS, *loads],
        env=os.environ | {FOLDER_VARIABLE: str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def shown(folder: Path, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(collector_of(folder, WORKER_METRICS))
    return registry.get_sample_value(name, labels)


def claims(folder: Path) -> float | None:
    return shown(folder, f"{CLAIM.name}_count", lane="gpu")


def load(folder: Path) -> float | None:
    return shown(folder, LOAD.name, pipeline="null", lane="gpu")


def test_counts_of_concurrent_processes_are_added_up(tmp_path: Path) -> None:
    with counting(tmp_path, "1", "1"), counting(tmp_path, "3"):
        assert claims(tmp_path) == 3
        assert shown(tmp_path, f"{CLAIM.name}_bucket", lane="gpu", le="0.001") == 3
        assert load(tmp_path) == 3  # the slowest


def test_a_killed_process_leaves_its_counts_but_not_its_gauges(tmp_path: Path) -> None:
    with counting(tmp_path, "1"):
        with counting(tmp_path, "9", "9"):
            assert load(tmp_path) == 9
        assert claims(tmp_path) == 3
        assert load(tmp_path) == 1
    assert claims(tmp_path) == 3
    assert load(tmp_path) is None


def test_however_many_processes_die_there_are_no_more_files_than_lived_at_once(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        with counting(tmp_path, "1"), counting(tmp_path, "2"):
            files = sorted(path.name for path in tmp_path.iterdir())
    assert claims(tmp_path) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert len(files) == 6  # a lock, a file of histograms and one of gauges each


def test_an_empty_new_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "histogram_7.db").touch()
    with counting(tmp_path, "1"):
        assert claims(tmp_path) == 1


def test_a_family_is_shown_before_anything_was_counted(tmp_path: Path) -> None:
    found = {metric.name: metric for metric in collector_of(tmp_path, WORKER_METRICS).collect()}
    assert list(found) == [measure.name for measure in WORKER_METRICS]
    assert found[BATCH_ITEMS.name].type == "histogram"
    assert found[BATCH_ITEMS.name].documentation == BATCH_ITEMS.text


def test_a_group_begins_with_an_empty_folder_of_its_own(tmp_path: Path, settings: Settings) -> None:
    here = dataclasses.replace(settings, metrics_dir=str(tmp_path / "metrics"))
    left = tmp_path / "metrics" / "web" / "histogram_0.db"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of the last run")
    assert open_metrics_folder(here, "web") == left.parent
    assert not left.exists()
    assert os.environ[FOLDER_VARIABLE] == str(left.parent)


def test_a_second_worker_of_a_lane_gets_a_folder_of_its_own(
    tmp_path: Path, settings: Settings
) -> None:
    here = dataclasses.replace(settings, metrics_dir=str(tmp_path))
    first = open_metrics_folder(here, "gpu")
    (first / "histogram_0.db").write_bytes(b"counts")
    assert open_metrics_folder(here, "gpu") == tmp_path / "gpu-2"
    assert (first / "histogram_0.db").exists()


def test_a_folder_that_cannot_be_created_is_named_in_the_error(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "a file").touch()
    here = dataclasses.replace(settings, metrics_dir=str(tmp_path / "a file"))
    with pytest.raises(SettingsError, match=r"PENSTOCK_METRICS_DIR=.* must be a folder"):
        open_metrics_folder(here, "web")

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from tasks.jobs.lanes import Lane
from tasks.telemetry.metrics.process import UTILIZATION, process_metrics
from tasks.worker.utilization import Utilization, busy_share, utilization_of


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_the_busy_share_is_that_of_the_time_since_the_last_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, worked = Clock(monkeypatch), 40.0
    share = busy_share(lambda: worked)
    clock.now, worked = 110.0, 42.5
    assert share() == 0.25
    clock.now = 115.0
    assert share() == 0
    clock.now, worked = 116.0, 44.0  # two clocks, read one after the other
    assert share() == 1
    assert share() == 0


def test_a_gpu_is_found_in_nvml_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=asked.append,
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=37),
    )
    properties = SimpleNamespace(uuid="1b2c")
    cuda = SimpleNamespace(get_device_properties=lambda _: properties)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert utilization_of("cuda:0", lambda: 0.0)() == 0.37
    assert asked == ["GPU-1b2c"]


def test_without_nvml_the_busy_share_of_the_child_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    clock, worked = Clock(monkeypatch), 0.0
    share = utilization_of("cuda:0", lambda: worked)
    clock.now, worked = 102.0, 1.0
    assert share() == 0.5


def test_the_gauge_has_the_measured_share_and_keeps_it_when_a_measurement_fails() -> None:
    def failing() -> float:
        raise OSError("the driver is gone")

    Utilization(Lane.CPU, "cpu-0", lambda: 0.75).measure()
    Utilization(Lane.CPU, "cpu-0", failing).measure()
    (family,) = process_metrics().collector([UTILIZATION]).collect()
    (sample,) = family.samples
    assert (sample.labels, sample.value) == ({"lane": "cpu", "device": "cpu-0"}, 0.75)

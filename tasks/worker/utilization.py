"""Utilization metric: the busy share of a pool child's device, measured every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from tasks.jobs.lanes import Lane
from tasks.telemetry.logs import get_logger
from tasks.telemetry.metrics.process import process_metrics

log = get_logger(__name__)

PERIOD_S: Final = 5.0

Share = Callable[[], float]


class Utilization(threading.Thread):
    """A separate thread, so that threads that wait for Redis do not delay the measurement."""

    def __init__(self, lane: Lane, device: str, share: Share) -> None:
        super().__init__(name="utilization", daemon=True)
        self._gauge = process_metrics().utilization.labels(lane, device)
        self._share = share
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            self.measure()

    def measure(self) -> None:
        """Set the gauge to the present share."""
        try:
            self._gauge.set(self._share())
        except Exception as error:  # of NVML: the driver may go away
            log.warning("utilization not known", error=str(error))

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()


def utilization_of(device: str, worked_s: Callable[[], float]) -> Share:
    """A function that returns the recent busy share (0 to 1) of `device`, as torch names it."""
    if device.startswith("cuda"):
        try:
            return _gpu_share(device)
        except Exception as error:
            text = "no GPU utilization from NVML: the busy share of the child is used"
            log.warning(text, error=str(error))
    return busy_share(worked_s)


def busy_share(worked_s: Callable[[], float]) -> Share:
    """A function that returns the share of the time since its last call that `worked_s` gained."""
    last = [time.monotonic(), worked_s()]

    def share() -> float:
        now, worked = time.monotonic(), worked_s()
        passed, busy = now - last[0], worked - last[1]
        last[:] = now, worked
        return min(1.0, max(0.0, busy / passed)) if passed > 0 else 0.0

    return share


def _gpu_share(device: str) -> Share:
    """From NVML, by UUID: CUDA and NVML may number the GPUs of a machine differently."""
    import pynvml  # noqa: PLC0415 - only GPU workers need it
    import torch  # noqa: PLC0415 - loaded in worker children only

    pynvml.nvmlInit()
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    handle: Any = pynvml.nvmlDeviceGetHandleByUUID(name)
    return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100

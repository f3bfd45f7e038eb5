"""How busy a worker child's device is, looked at every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from tasks.jobs.lanes import Lane
from tasks.telemetry.logs import get_logger
from tasks.telemetry.metrics.process import process_metrics

log = get_logger(__name__)

EVERY_S: Final = 5.0

Share = Callable[[], float]


class Utilization(threading.Thread):
    """A thread of its own: what waits for Redis must not keep it from looking."""

    def __init__(self, lane: Lane, device: str, share: Share) -> None:
        super().__init__(name="utilization", daemon=True)
        self._gauge = process_metrics().utilization.labels(lane, device)
        self._share = share
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        try:
            self._gauge.set(self._share())
        except Exception as error:  # NVML's own, as the driver may go away
            log.warning("utilization is not known", error=str(error))

    def stop(self) -> None:
        self._stopping.set()


def share_of(device: str, worked_s: Callable[[], float]) -> Share:
    """Tells the busy share of `device`, as torch names it, of late."""
    if device.startswith("cuda"):
        try:
            return _gpu_share(device)
        except Exception as error:
            text = "NVML does not tell how busy the GPU is: the busy share of the child is shown"
            log.warning(text, error=str(error))
    return busy_share(worked_s)


def busy_share(worked_s: Callable[[], float]) -> Share:
    """The share of the time since it was last asked in which `worked_s` ran."""
    told = [time.monotonic(), worked_s()]

    def share() -> float:
        now, worked = time.monotonic(), worked_s()
        passed, busy = now - told[0], worked - told[1]
        told[:] = now, worked
        return min(1.0, max(0.0, busy / passed)) if passed > 0 else 0.0

    return share


def _gpu_share(device: str) -> Share:
    """By UUID: CUDA may number the GPUs of a machine otherwise than NVML."""
    import pynvml  # noqa: PLC0415 - of use to few
    import torch  # noqa: PLC0415 - in worker children only

    pynvml.nvmlInit()
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    handle: Any = pynvml.nvmlDeviceGetHandleByUUID(name)
    return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100

"""Classifies exceptions of a model: out of memory, or a device that is lost."""

from __future__ import annotations

import sys


class DeviceLost(Exception):
    """The device cannot be used any more in this process; a new process is needed.

    After a device-side assert or an illegal access every later CUDA call fails as well
    (CUDA runtime API, "sticky" errors).
    """


def out_of_memory(error: Exception) -> bool:
    """Whether the error says that the device ran out of memory: a smaller batch may succeed."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error)


def device_lost(error: Exception) -> bool:
    """Whether this error leaves the device's context unusable."""
    torch = sys.modules.get("torch")  # absent: then the error cannot be a device's
    return torch is not None and isinstance(error, torch.AcceleratorError)


def free_cached_memory() -> None:
    """Return torch's cached memory blocks to the device, so that a retry can use them."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

"""What an exception of a model says about the device it ran on."""

from __future__ import annotations

import sys


class DeviceLost(Exception):
    """The device can compute nothing more in this process: only a fresh process can.

    After a device-side assert or an illegal access every later CUDA call fails as well
    (CUDA runtime API, "sticky" errors).
    """


def out_of_memory(error: Exception) -> bool:
    """Whether a smaller batch may succeed where this error came from."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error)


def device_lost(error: Exception) -> bool:
    """Whether this error leaves the device's context unusable."""
    torch = sys.modules.get("torch")  # absent: then the error cannot be a device's
    return torch is not None and isinstance(error, torch.AcceleratorError)


def free_cached_memory() -> None:
    """Hand blocks that torch keeps for later back to the device, so that a retry finds them."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

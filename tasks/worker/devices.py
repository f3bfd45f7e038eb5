"""Which device a pool child runs on. Devices are counted without CUDA, which only children use."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane


def visible_gpus(settings: Settings) -> tuple[str, ...]:
    """The GPUs that this worker may use, named as in CUDA_VISIBLE_DEVICES."""
    if settings.visible_gpus is not None:
        return settings.visible_gpus
    nodes = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(node.removeprefix("nvidia") for node in nodes)


def pool_size(settings: Settings, lane: Lane) -> int:
    """Pool children at start: one per GPU in the gpu lane, or one on the CPU if there is none."""
    if lane is Lane.GPU:
        return max(1, len(visible_gpus(settings)))
    if lane is Lane.CPU:
        return settings.cpu_workers_range[0] if settings.cpu_pool_scales else settings.cpu_workers
    return 1


def most_children(settings: Settings, lane: Lane) -> int:
    """Most pool children at any time; more than at start if the lane's pool autoscales."""
    if scales(settings, lane):
        return settings.cpu_workers_range[1]
    return pool_size(settings, lane)


def scales(settings: Settings, lane: Lane) -> bool:
    """Whether a worker of the lane adds and removes children with its load."""
    return lane is Lane.CPU and settings.cpu_pool_scales


def pin(settings: Settings, lane: Lane, child: int) -> str:
    """Bind this process to its device, before torch is imported; returns torch's name for it."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a child uses only the cores it was given
    gpus = visible_gpus(settings)
    if lane is Lane.GPU and gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[child % len(gpus)]
        return "cuda:0"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return "cpu"


def name_of(settings: Settings, lane: Lane, child: int) -> str:
    """The device label of a child's metrics: its GPU, or the child's own number without one."""
    gpus = visible_gpus(settings)
    return gpus[child % len(gpus)] if lane is Lane.GPU and gpus else f"cpu-{child}"


def threads(lane: Lane) -> int:
    """Number of torch threads of a child: half the cores in the gpu lane, else one.

    The gpu lane may have no GPU. The API, Redis and the cpu lane need the other half of the cores:
    threads that wait for a core spin, and one forward pass on contended cores took 400 ms
    instead of 13.
    """
    return max(1, (os.cpu_count() or 1) // 2) if lane is Lane.GPU else 1

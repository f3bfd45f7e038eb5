from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.worker import devices


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "restored after the test")


def test_the_gpu_lane_has_one_child_per_gpu_each_on_its_own(settings: Settings) -> None:
    two = replace(settings, visible_gpus=("3", "GPU-abc"))
    assert devices.pool_size(two, Lane.GPU) == 2
    assert devices.pin(two, Lane.GPU, 1) == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-abc"


def test_without_a_gpu_the_gpu_lane_has_one_child_on_the_cpu(settings: Settings) -> None:
    none = replace(settings, visible_gpus=())
    assert devices.pool_size(none, Lane.GPU) == 1
    assert devices.pin(none, Lane.GPU, 0) == "cpu"


def test_the_cpu_lane_never_sees_a_gpu(settings: Settings) -> None:
    two = replace(settings, visible_gpus=("0", "1"), cpu_workers=3)
    assert devices.pool_size(two, Lane.CPU) == 3
    assert devices.pin(two, Lane.CPU, 2) == "cpu"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert devices.threads(Lane.CPU) == 1


def test_a_cpu_worker_starts_with_the_minimum_of_children_and_has_room_for_the_maximum(
    settings: Settings,
) -> None:
    ranged = replace(settings, cpu_workers_min=2, cpu_workers_max=5)
    assert (devices.pool_size(ranged, Lane.CPU), devices.most_children(ranged, Lane.CPU)) == (2, 5)
    left = replace(ranged, scale_cpu_pool=False, cpu_workers=3)
    assert (devices.pool_size(left, Lane.CPU), devices.most_children(left, Lane.CPU)) == (3, 3)
    assert not devices.scales(ranged, Lane.GPU)


def test_the_device_label_is_the_gpu_or_without_one_the_number_of_the_child(
    settings: Settings,
) -> None:
    two = replace(settings, visible_gpus=("3", "GPU-abc"))
    assert devices.name_of(two, Lane.GPU, 1) == "GPU-abc"
    assert devices.name_of(two, Lane.CPU, 1) == "cpu-1"
    assert devices.name_of(replace(settings, visible_gpus=()), Lane.GPU, 0) == "cpu-0"

"""Chooses the lane of a new job: gpu or cpu."""

from __future__ import annotations

from ml.pipeline import Item, Mode, Options, Pipeline
from tasks.jobs.lanes import Lane


def choose_lane(pipeline: Pipeline, options: Options, only: Item | None) -> Lane:
    """Choose the lane in which the job is to be answered.

    only: the item of a single job; None for a bulk job. The items of a bulk job all try the cpu
    lane where that may pay; an item of which it is not sure goes on to the gpu lane.
    """
    mode = pipeline.mode_of(options)
    if mode is Mode.QUALITY:
        return Lane.GPU
    if mode is Mode.CHEAP:
        return Lane.CPU
    easy = pipeline.cpu_below > (pipeline.complexity(only) if only else 0)
    return Lane.CPU if easy else Lane.GPU

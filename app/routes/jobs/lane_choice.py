"""The lane that a new job asks for, gpu or cpu.

`tasks/lua/jobs/submit.lua` takes the cpu lane instead where the gpu lane cannot serve it.
"""

from __future__ import annotations

from ml.pipeline import Item, Mode, Options, Pipeline
from tasks.jobs.lanes import Lane


def preferred_lane(pipeline: Pipeline, options: Options, only: Item | None) -> Lane:
    """The lane in which the job is best answered.

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

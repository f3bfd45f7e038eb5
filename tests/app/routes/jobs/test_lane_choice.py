"""The lane of a new job: by its mode and the complexity of its input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.http.errors import BadRequest
from app.routes.jobs.lane_choice import preferred_lane
from app.schemas.job import JobReader
from ml.pipeline import Item, Mode, Options
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tests.pipelines import echo
from tests.tasks.routed import routed

EASY, HARD = Item({"text": "easy"}), Item({"text": "hard " * 30})


@pytest.mark.parametrize(
    ("mode", "item", "lane"),
    [
        (None, EASY, Lane.CPU),
        (None, HARD, Lane.GPU),
        (None, None, Lane.CPU),
        (Mode.BALANCED, HARD, Lane.GPU),
        (Mode.QUALITY, EASY, Lane.GPU),
        (Mode.QUALITY, None, Lane.GPU),
        (Mode.CHEAP, HARD, Lane.CPU),
        (Mode.CHEAP, None, Lane.CPU),
    ],
)
def test_the_lane_follows_the_mode_and_in_balanced_the_input(
    mode: Mode | None, item: Item | None, lane: Lane
) -> None:
    assert preferred_lane(routed, Options(mode=mode), item) is lane


def test_a_min_tier_that_the_cpu_lane_has_not_means_the_gpu_lane() -> None:
    assert preferred_lane(routed, Options(min_tier="big"), EASY) is Lane.GPU
    assert preferred_lane(routed, Options(min_tier="small"), EASY) is Lane.CPU


def test_a_pipeline_that_cannot_route_goes_to_the_gpu_lane_unless_it_is_to_be_cheap() -> None:
    for mode in (None, Mode.QUALITY, Mode.BALANCED):
        assert preferred_lane(echo, Options(mode=mode), EASY) is Lane.GPU
        assert preferred_lane(echo, Options(mode=mode), None) is Lane.GPU
    assert preferred_lane(echo, Options(mode=Mode.CHEAP), EASY) is Lane.CPU


def test_cheap_with_a_tier_that_only_the_gpu_lane_has_is_refused(settings: Settings) -> None:
    reader = JobReader({"routed": routed}, replace(settings))
    body: dict[str, Any] = {"pipeline": "routed", "input": EASY.input}
    accepted = reader.read({**body, "options": {"mode": "cheap", "min_tier": "small"}})
    assert accepted.options == {"mode": "cheap", "min_tier": "small"}
    with pytest.raises(BadRequest) as refused:
        reader.read({**body, "options": {"mode": "cheap", "min_tier": "big"}})
    (error,) = refused.value.errors
    assert error["pointer"] == "/options/mode"
    assert "min_tier big" in error["detail"]

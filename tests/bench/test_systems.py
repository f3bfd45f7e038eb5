from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from bench.measure import measure, queued_bytes
from bench.modes import MODES, Load
from bench.systems import Running, flask_celery, started

pytestmark = pytest.mark.full

SMALL = Load(connections=4, seconds=0.0, drain_jobs=20, bulk_connections=2, bulk_sizes=(30,))


@pytest.fixture(scope="module")
def baseline() -> Iterator[Running]:
    with started(flask_celery("everysec")) as running:
        yield running


@pytest.mark.parametrize("mode", list(MODES))
def test_the_baseline_ends_every_job_in_every_mode(baseline: Running, mode: str) -> None:
    sample = measure(baseline, mode, SMALL)
    assert sample.items == {"wait": 1, "poll": 1, "drain": 20, "bulk": 30}[mode]
    assert sample.cpu_us.keys() == {"redis", "web", "worker"}
    assert sample.total_cpu_us >= 0


def test_the_baseline_s_redis_keeps_what_it_accepts(baseline: Running) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert {name: baseline.redis.config_get(name)[name] for name in wanted} == wanted


def test_a_queued_job_takes_memory_and_nothing_runs_afterwards() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    assert queued_bytes(flask_celery("everysec"), jobs=300, load=SMALL) > 100
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before

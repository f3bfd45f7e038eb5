"""`python -m bench.listing`: lists a million jobs and compares the first pages with the last.

Starts a Redis of its own, fills it with jobs that have ended or are open, and reads all of them by
`GET /v1/jobs` in this process, so that a page's time is validation, Redis and JSON, and no network.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from flask.testing import FlaskClient
from redis import Redis
from redis.exceptions import RedisError
from ulid import ULID

from app.factory import create_app
from bench import machine
from bench.fleet import free_port
from bench.measure import quantile
from deploy.local.redis_server import find_server, write_config
from tasks.config.settings import Settings
from tasks.jobs.listing import MOST_EXAMINED, OPEN
from tasks.jobs.model import Spec, Status
from tasks.store import keys
from tasks.store.client import connect

OWNER = "default"
PAGE = 100
EDGE = 200  # pages at either end that are compared
FILL_AT_ONCE = 2_000
HOUR_MS = 3_600_000
# Statuses of every hundred jobs, in turn, so that each index spans the whole time.
MIX = [Status.SUCCEEDED] * 90 + [Status.FAILED] * 4 + [Status.CANCELLED, Status.EXPIRED] * 2
MIX += [Status.QUEUED, Status.RUNNING]
OUTCOME = {
    "output": {
        "label": "review",
        "action": "review",
        "confidence": 0.93,
        "scores": {"allow": 0.05, "review": 0.93, "block": 0.02},
        "tier": "transformer",
        "model_version": "2026-11-20-4f1c",
        "degraded": False,
        "reason": None,
    },
    "error": None,
}


@dataclass(frozen=True)
class Walk:
    """All pages of one query, in order.

    ms: duration of each. redis_us: of that, its script's in Redis. jobs: number of listed jobs.
    """

    ms: Sequence[float]
    redis_us: Sequence[float]
    jobs: int


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench.listing", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="(default 1,000,000)")
    jobs: int = parser.parse_args(argv).jobs // len(MIX) * len(MIX)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as settings:
        redis = connect(settings)
        fill(redis, jobs)
        used = float(redis.info("memory")["used_memory"]) / 2**20
        print(f"{jobs:,} jobs, {used:,.0f} MiB in Redis")
        client = create_app(settings).test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {settings.api_key}"
        for query, expected in (("", jobs), ("&status=succeeded", jobs * 90 // 100)):
            found = walk(client, redis, f"/v1/jobs?limit={PAGE}{query}")
            assert found.jobs == expected, f"{found.jobs} of {expected} jobs were listed"
            show(query.removeprefix("&") or "no filter", found)
        sparse(client, redis)
    print(machine.describe())
    return 0


@contextmanager
def serving(folder: Path) -> Iterator[Settings]:
    """A Redis without persistence: only reads are measured."""
    settings = Settings(
        redis_port=free_port(),
        redis_password=secrets.token_hex(16),
        api_key=secrets.token_hex(16),
        key_pepper=secrets.token_hex(16),
        webhook_key=secrets.token_hex(16),
    )
    config = write_config(
        folder,
        port=settings.redis_port,
        password=settings.redis_password,
        appendfsync="everysec",
    )
    command = [str(find_server()), str(config), "--appendonly", "no", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not _answers(connect(settings)):
            assert process.poll() is None, "redis-server ended at its start"
            time.sleep(0.05)
        yield settings
    finally:
        process.kill()
        process.wait()


def fill(redis: Redis, jobs: int) -> None:
    """Write complete records as a worker leaves them, one job per millisecond until an hour ago."""
    first_ms = time.time_ns() // 1_000_000 - HOUR_MS - jobs
    numbers = iter(range(jobs))
    while some := list(itertools.islice(numbers, FILL_AT_ONCE)):
        pipe = redis.pipeline(transaction=False)
        for number in some:
            ms, status = first_ms + number, MIX[number % len(MIX)]
            job_id = f"job_{ULID(ms.to_bytes(6, 'big') + secrets.token_bytes(10))}"
            state = status if status.is_terminal else OPEN
            pipe.zadd(keys.jobs(OWNER, state), {job_id: 0})
            pipe.hset(keys.job(job_id), mapping=_record(ms, status))
        pipe.execute()


def walk(client: FlaskClient, redis: Redis, first: str) -> Walk:
    """Follow the Link headers from the first page to the last."""
    ms, redis_us, jobs, before = [], [_script_us(redis)], 0, "~"
    link: str | None = first
    while link:
        begun = time.perf_counter()
        response = client.get(link)
        ms.append((time.perf_counter() - begun) * 1_000)
        redis_us.append(_script_us(redis))
        page = orjson.loads(response.data)["jobs"]
        assert all(later["id"] > job["id"] for later, job in itertools.pairwise(page))
        assert before > page[0]["id"], "a page does not start where the one before ended"
        before, jobs = page[-1]["id"], jobs + len(page)
        given = response.headers.get("Link")
        link = given and given[1:].partition(">")[0]
    return Walk(ms, [after - earlier for earlier, after in itertools.pairwise(redis_us)], jobs)


def show(name: str, found: Walk) -> None:
    print(f"{name}: {found.jobs:,} jobs on {len(found.ms):,} pages of {PAGE}")
    for unit, spent in (("ms a page", found.ms), ("us of these in Redis", found.redis_us)):
        first, last = (statistics.median(part) for part in (spent[:EDGE], spent[-EDGE:]))
        print(
            f"  {unit}: median of the first {EDGE} {first:.2f}, of the last {last:.2f} "
            f"({last / first:.2f}x), of all {statistics.median(spent):.2f}; "
            f"p99 {quantile(list(spent), 0.99):.2f}"
        )


def _script_us(redis: Redis) -> float:
    """Microseconds that scripts have taken in Redis so far."""
    return float(redis.info("commandstats").get("cmdstat_evalsha", {"usec": 0})["usec"])


def sparse(client: FlaskClient, redis: Redis) -> None:
    """Measure the most expensive page: its filter makes the script read as many jobs as it may."""
    pipe = redis.pipeline(transaction=False)
    now_ms = time.time_ns() // 1_000_000
    for number in range(MOST_EXAMINED):
        job_id = f"job_{ULID((now_ms + number).to_bytes(6, 'big') + secrets.token_bytes(10))}"
        pipe.zadd(keys.jobs(OWNER, OPEN), {job_id: 0})
        pipe.hset(keys.job(job_id), mapping=_record(now_ms, Status.QUEUED))
    pipe.execute()
    ms = []
    for _ in range(EDGE):
        begun = time.perf_counter()
        response = client.get("/v1/jobs?status=running")
        ms.append((time.perf_counter() - begun) * 1_000)
        assert orjson.loads(response.data)["jobs"] == []
    print(f"a page that passes over {MOST_EXAMINED:,} jobs: {statistics.median(ms):.2f} ms")


def _record(ms: int, status: Status) -> dict[Any, Any]:
    spec = Spec("moderation", OWNER, {"language": "en"}, {"ticket": "A-17"}, request_id="0" * 32)
    record: dict[Any, Any] = {
        "spec": spec.dump(),
        "status": status,
        "lane": "gpu",
        "created": f"{ms}000",
        "total": "1",
    }
    if status.is_terminal:
        record |= {"started": f"{ms}500", "finished": f"{ms + 8}000", "done": "1", "attempts": "1"}
        record["r:0"] = orjson.dumps([OUTCOME])
    return record


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

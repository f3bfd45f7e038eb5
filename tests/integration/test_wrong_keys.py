"""10,000 wrong keys at once: each is refused, and whoever has a right one does not notice."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from app.api_keys import key_format
from app.api_keys.key_format import key_id_of, new_key
from tests.eventually import eventually
from tests.stack import Stack

WRONG = 10_000
THREADS = 32
JOB = {"pipeline": "null", "input": {"text": "hello"}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One of its own: a throttled address would disturb others. We are its trusted proxy."""
    folder = tmp_path_factory.mktemp("stack")
    stack = Stack(folder, "ml.null:pipeline", trusted_proxies=("127.0.0.1",))
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def key(stack: Stack) -> str:
    limits = ("--requests-per-s", "100000", "--items-per-s", "100000")
    return stack.flask("keys", "create", "--owner", "acme", "--name", "the right one", *limits)


def wrong_key(number: int, right: str) -> str:
    """In turn: well made but nobody's, the right id with another secret, mistyped, nonsense."""
    other = new_key().text
    forged = f"psk_{key_id_of(right)}_{other.split('_')[2][:43]}"
    swapped = right[:-1] + ("0" if right[-1] != "0" else "1")
    return (other, forged + key_format._checksum(forged), swapped, f"guess-{number}")[number % 4]


@dataclass
class Seen:
    """What the holder of the right key saw, in seconds for each request."""

    key: list[float] = field(default_factory=list)
    jobs: int = 0


def hold_on(stack: Stack, key: str, done: threading.Event, seen: Seen) -> None:
    """Use the right key without a pause until the flood is over; each answer must be right."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60) as client:
        while not done.is_set():
            begun = time.perf_counter()
            response = client.get("/v1/pipelines/null")
            seen.key.append(time.perf_counter() - begun)
            assert response.status_code == 200, response.text
            job = client.post("/v1/jobs", json=JOB, headers={"Prefer": "wait=30"})
            assert (job.status_code, job.json()["status"]) == (200, "succeeded"), job.text
            seen.jobs += 1
            assert client.get("/readyz").json()["status"] == "ready"


def flood(stack: Stack, right: str) -> Counter[int]:
    """How the wrong keys were answered, by status."""
    own = threading.local()

    def show(number: int) -> int:
        if not hasattr(own, "client"):
            own.client = clients.enter(stack)
        key = wrong_key(number, right)
        response = own.client.get("/v1/pipelines", headers={"Authorization": f"Bearer {key}"})
        if response.status_code == 429:
            assert 1 <= int(response.headers["Retry-After"]) <= 60
        return int(response.status_code)

    with Clients() as clients, ThreadPoolExecutor(THREADS) as threads:
        return Counter(threads.map(show, range(WRONG)))


class Clients:
    """HTTP clients, one a thread, closed together."""

    def __init__(self) -> None:
        self._open: list[httpx.Client] = []

    def enter(self, stack: Stack) -> httpx.Client:
        self._open.append(httpx.Client(base_url=stack.url, timeout=60))
        return self._open[-1]

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._open:
            client.close()


@pytest.mark.timeout(300)
def test_10_000_wrong_keys_leave_the_right_one_working_until_it_is_revoked(
    stack: Stack, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands_before = stack.redis.info("stats")["total_commands_processed"]
    seen, done, begun = Seen(), threading.Event(), time.perf_counter()
    with ThreadPoolExecutor(1) as holder:
        held = holder.submit(hold_on, stack, key, done, seen)
        try:
            answers = flood(stack, key)
        finally:
            done.set()
        took_s = time.perf_counter() - begun
        held.result()
    commands = stack.redis.info("stats")["total_commands_processed"] - commands_before

    assert answers.total() == WRONG
    assert set(answers) == {401, 429}
    assert answers[401] <= 2 * stack.settings.max_wrong_keys * stack.settings.web_workers * (
        1 + took_s // 60
    )
    assert seen.jobs > 0
    assert status(stack, key) == 200
    assert stack.ready()

    stack.flask("keys", "revoke", str(key_id_of(key)))
    revoked = time.perf_counter()
    eventually(lambda: status(stack, key) in {401, 429}, "an end of the revoked key")
    lived_on_s = time.perf_counter() - revoked

    secrets = (key[17:], stack.settings.api_key, stack.settings.key_pepper)
    files = [path for path in stack.folder.rglob("*") if path.is_file()]
    assert {"web.log", "gpu.log"} <= {path.name for path in files}
    assert [p for p in files for s in secrets if s.encode() in p.read_bytes()] == []
    with capsys.disabled():
        p50, p99 = (statistics.quantiles(seen.key, n=100)[n - 1] * 1000 for n in (50, 99))
        print(  # noqa: T201
            f"\n{WRONG} wrong keys in {took_s:.1f} s: {dict(answers)}; the right key meanwhile: "
            f"{len(seen.key)} requests, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {seen.jobs} jobs done; "
            f"{commands} commands in Redis in all; revoked, it lived on for {lived_on_s:.2f} s"
        )


def status(stack: Stack, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{stack.url}/v1/pipelines/null", headers=headers).status_code


def test_several_lines_of_forwarded_for_are_one_list(stack: Stack) -> None:
    enough = 2 * stack.settings.max_wrong_keys * stack.settings.web_workers
    with httpx.Client(base_url=stack.url) as client:
        for number in range(enough):
            response = client.get(
                "/v1/pipelines",
                headers=[
                    ("Authorization", "Bearer nonsense"),
                    ("X-Forwarded-For", f"203.0.113.{number % 250}"),  # as the client wrote it
                    ("X-Forwarded-For", "198.51.100.7"),  # as a proxy added it
                ],
            )
    assert response.status_code == 429

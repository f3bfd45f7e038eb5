"""What /metrics counts is what clients were told, over many processes and through their deaths.

The client keeps a ledger of every answer it got and of every job's end. Jobs and predictions are
counted in Redis by the scripts that make them so: they must be equal, always. Requests are counted
by the web process that answers, before it does; of one that is killed, a client cannot know whether
its last requests were counted, so that there, and only there, the counts may be higher by as much
as the client has requests without an answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.eventually import eventually
from tests.ports import free_ports
from tests.stack import Stack

WEB, CLIENTS, ROUNDS = 4, 8, 12
SUBMIT, READ = ("POST", "/v1/jobs"), ("GET", "/v1/jobs/<job_id>")
RESULTS, CANCEL = ("GET", "/v1/jobs/<job_id>/results"), ("POST", "/v1/jobs/<job_id>/cancel")
CARD, NOWHERE = ("GET", "/v1/pipelines/<name>"), ("GET", "none")
HTTP = "penstock_http_request_duration_seconds_count"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Four web processes and four workers' children, of which two share the gpu lane."""
    folder = tmp_path_factory.mktemp("ledger")
    stack = Stack(
        folder,
        *("tests.faults.bad_models:lone", "tests.faults.bad_models:pair"),
        *("tests.pipelines:echo", "tests.pipelines:slow"),
        web_workers=WEB,
        cpu_workers=2,
        lease_ms=3_000,
        renew_ms=1_000,
        metrics_port=free_ports(3),
        metrics_dir=str(folder / "metrics"),
    )
    try:
        stack.start_all()
        stack.start("gpu-2")
        eventually(lambda: (stack.alive("gpu"), stack.alive("cpu")) == (2, 2), "four children", 120)
        yield stack
    finally:
        stack.stop_all()


class Book:
    """The client's ledger. requests: by method, route and status; unanswered: without an answer."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, ...]] = Counter()
        self.jobs: Counter[tuple[str, str]] = Counter()
        self.predictions: Counter[tuple[str, str]] = Counter()
        self.unanswered = 0
        self._lock = threading.Lock()

    def answered(self, route: tuple[str, str], status: int) -> None:
        with self._lock:
            self.requests[*route, str(status)] += 1

    def not_answered(self) -> None:
        with self._lock:
            self.unanswered += 1

    def ended(self, job: Mapping[str, Any], lines: list[dict[str, Any]]) -> None:
        with self._lock:
            self.jobs[job["pipeline"], job["status"]] += 1
            if job["status"] != "cancelled":
                for line in lines:
                    self.predictions[job["pipeline"], _status(job, line)] += 1


def _status(job: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    if line["output"] is None:
        return "failed"
    if job["cached"]:
        return "cached"
    return "degraded" if line["output"]["degraded"] else "succeeded"


class Client:
    """One connection at a time; what is not answered is asked again."""

    def __init__(self, stack: Stack, book: Book, seed: str) -> None:
        self._client = stack.client()
        self._book = book
        self._chance = random.Random(seed)  # noqa: S311
        self._seed = seed

    def run(self) -> None:
        with self._client:
            for number in range(ROUNDS):
                self._round(f"{self._seed}-{number}")

    def _round(self, key: str) -> None:
        kind = self._chance.choice(["plain", "degraded", "failed", "cached", "cancelled", "bulk"])
        job = self._submit(key, _body(kind, key))
        if kind == "cancelled":
            self._ask(CANCEL, f"/v1/jobs/{job['id']}/cancel")
        while not job["finished_at"]:
            job = self._ask(READ, f"/v1/jobs/{job['id']}?wait=5").json()
        lines = [job]
        if "inputs" in _body(kind, key):
            text = self._ask(RESULTS, f"/v1/jobs/{job['id']}/results").text
            lines = httpx.Response(200, text=f"[{','.join(text.splitlines())}]").json()
        self._book.ended(job, lines)
        self._ask(NOWHERE, f"/{key}")
        self._ask(CARD, "/v1/pipelines/echo", headers={"Authorization": "Bearer wrong"})

    def _submit(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Idempotency-Key": key}
        while True:
            answer = self._ask(SUBMIT, "/v1/jobs", json=body, headers=headers)
            if answer.status_code in {200, 202}:
                return dict(answer.json())
            assert answer.status_code == 409, answer.text  # the first try is still under way
            time.sleep(0.1)

    def _ask(self, route: tuple[str, str], path: str, **more: Any) -> httpx.Response:
        while True:
            try:
                answer = self._client.request(route[0], path, **more)
            except httpx.TransportError:
                self._book.not_answered()
                time.sleep(0.05)
                continue
            self._book.answered(route, answer.status_code)
            return answer


def _body(kind: str, key: str) -> dict[str, Any]:
    text = {"degraded": f"raise {key}", "failed": f"raise {key}", "cached": "the same"}
    one = {"text": text.get(kind, f"text {key}")}
    pipeline = {"degraded": "pair", "failed": "lone", "bulk": "lone", "cancelled": "slow"}
    body: dict[str, Any] = {"pipeline": pipeline.get(kind, "echo")}
    if kind != "bulk":
        return body | {"input": one}
    bad = {"text": f"raise {key}"}
    return body | {"inputs": [{"text": f"{key} {n}"} for n in range(20)] + [bad]}


def load(stack: Stack, book: Book, phase: str, meanwhile: Any = lambda: None) -> None:
    clients = [Client(stack, book, f"{phase}-{n}") for n in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(client.run) for client in clients]
        meanwhile()
        for done in running:
            done.result(200)


def exposed(stack: Stack) -> dict[str, Counter[tuple[str, ...]]]:
    """What any web process tells, by metric and the values of its labels in their names' order."""
    with stack.client() as client:
        return samples(client.get("/metrics"))


def samples(response: httpx.Response) -> dict[str, Counter[tuple[str, ...]]]:
    assert response.status_code == 200, response.text
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            by_labels = found.setdefault(sample.name, Counter())
            values = (value for _, value in sorted(sample.labels.items()))
            by_labels[*values] += int(sample.value)
    return found


def requests(found: Mapping[str, Counter[tuple[str, ...]]], book: Book) -> Counter[tuple[str, ...]]:
    """Of the routes that only this module's clients ask."""
    routes = {key[:2] for key in book.requests}
    return Counter({key: n for key, n in found[HTTP].items() if key[:2] in routes})


def assert_jobs_agree(found: Mapping[str, Counter[tuple[str, ...]]], book: Book) -> None:
    assert found["penstock_jobs_total"] == book.jobs
    predictions: Counter[tuple[str, str]] = Counter()
    for (_, pipeline, status, _), count in found["penstock_predictions_total"].items():
        predictions[pipeline, status] += count
    assert predictions == book.predictions


def test_the_counters_are_the_clients_ledger_through_the_death_of_processes(stack: Stack) -> None:
    book = Book()
    load(stack, book, "calm")
    found = exposed(stack)
    assert_jobs_agree(found, book)
    assert book.unanswered == 0
    assert requests(found, book) == book.requests
    statuses = {status for _, status in book.predictions}
    assert statuses == {"succeeded", "degraded", "cached", "failed"}
    assert {status for _, status in book.jobs} >= {"succeeded", "failed", "cancelled"}

    def kill_two() -> None:
        eventually(lambda: sum(book.jobs.values()) > CLIENTS * (ROUNDS + 1), "jobs under way")
        stack.pool_child("gpu").kill()
        stack.children("web")[0].kill()

    load(stack, book, "deaths", kill_two)
    found = exposed(stack)
    assert_jobs_agree(found, book)
    counted = requests(found, book)
    assert not book.requests - counted, "answers that were not counted"
    assert (counted - book.requests).total() <= book.unanswered

    eventually(lambda: len(stack.children("web")) == WEB, "the killed one's successor")
    before, known = counted, Counter(book.requests)
    unanswered = book.unanswered
    load(stack, book, "after")
    found = exposed(stack)
    assert_jobs_agree(found, book)
    assert book.unanswered == unanswered
    assert requests(found, book) - before == book.requests - known
    assert_every_process_tells_the_same(stack, book)


def assert_every_process_tells_the_same(stack: Stack, book: Book) -> None:
    first = exposed(stack)
    for _ in range(2 * WEB):  # a new connection each, to whichever process takes it
        again = exposed(stack)
        assert requests(again, book) == requests(first, book)
        assert again["penstock_predictions_total"] == first["penstock_predictions_total"]
    places = list(Path(str(stack.settings.metrics_dir), "web").glob("*.lock"))
    assert len(places) == WEB  # the killed one's was taken over


def test_a_worker_shows_what_its_children_saw_those_that_died_too(stack: Stack) -> None:
    port = stack.settings.metrics_port
    headers = {"Authorization": f"Bearer {stack.settings.api_key}"}

    def seen() -> dict[str, Counter[tuple[str, ...]]]:
        return samples(httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers))

    book = Book()
    load(stack, book, "for-the-worker")
    before = seen()["penstock_batch_items_count"]
    assert before["gpu", "lone"] > 0
    killed = stack.serving_child("gpu")
    killed.kill()
    eventually(lambda: stack.serving_child("gpu").pid != killed.pid, "another child", 120)
    after = seen()
    assert not before - after["penstock_batch_items_count"]
    # A second worker of the lane found the port taken: it said so, and has worked all the same.
    assert "set PENSTOCK_METRICS_PORT" in stack.log("gpu-2")
    assert after["penstock_claim_duration_seconds_count"]["gpu",] > 0

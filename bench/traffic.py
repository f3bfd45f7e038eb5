"""Requests of the load generator, and the ledger that checks every answer."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import orjson

from bench.client import Response

T = TypeVar("T")
TERMINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})

# Texts are distinct across systems and repeats, so that no cache can answer.
_numbers = itertools.count(secrets.randbits(40))


class LedgerError(Exception):
    """A job was lost, ended twice, ended wrongly, or was not accepted; nothing measured counts."""


@dataclass(frozen=True)
class Target:
    """The address that requests go to; builds their bytes."""

    address: tuple[str, int]
    api_key: str

    def post(self, body: bytes, wait_s: int | None = None) -> bytes:
        prefer = "" if wait_s is None else f"Prefer: wait={wait_s}\r\n"
        return (
            f"POST /v1/jobs HTTP/1.1\r\n{self._common()}{prefer}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\n{self._common()}\r\n".encode()

    def _common(self) -> str:
        return f"Host: {self.address[0]}\r\nAuthorization: Bearer {self.api_key}\r\n"


def _text() -> str:
    return (
        f"Order {next(_numbers)} arrived this morning, thank you for the quick reply; "
        "the box was dented but everything inside works as described."
    )


def single() -> bytes:
    """The body of a job with one new text."""
    return b'{"pipeline":"null","input":{"text":"%s"}}' % _text().encode()


def bulk(items: int) -> bytes:
    """The body of a job with `items` new texts."""
    inputs = ",".join(f'{{"text":"{_text()}"}}' for _ in range(items))
    return b'{"pipeline":"null","inputs":[%s]}' % inputs.encode()


def until(deadline: float, things: Iterable[T]) -> Iterator[T]:
    """The first of `things`, and the next ones until `perf_counter()` passes `deadline`."""
    for thing in things:
        yield thing
        if perf_counter() >= deadline:
            return


class Ledger:
    """Every job submitted in one measurement: accepted once, succeeded once, with an output."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}  # job id -> items
        self._ended: set[str] = set()
        self.items = 0

    @property
    def jobs(self) -> int:
        return len(self._ended)

    def accept(self, response: Response, items: int = 1) -> dict[str, Any]:
        """Record the answer to a submit; return the job as far as it is known."""
        if response.status not in (200, 202):
            raise LedgerError(f"submit answered {response.status}: {response.body[:500]!r}")
        job: dict[str, Any] = orjson.loads(response.body)
        if job["id"] in self._open or job["id"] in self._ended:
            raise LedgerError(f"the id {job['id']} was given twice")
        self._open[job["id"]] = items
        return job

    def read(self, response: Response) -> dict[str, Any]:
        """The job in the answer to a GET."""
        if response.status != 200:
            raise LedgerError(f"reading a job answered {response.status}: {response.body[:500]!r}")
        job: dict[str, Any] = orjson.loads(response.body)
        return job

    def end(self, job: dict[str, Any]) -> None:
        """Record the end of a single job."""
        if job["output"] is None:
            raise LedgerError(f"succeeded without an output: {job}")
        self._end(job)

    def end_bulk(self, job: dict[str, Any], results: Response) -> None:
        """Record the end of a bulk job; its results must be complete, in order, and succeeded."""
        if results.status != 200:
            raise LedgerError(f"results answered {results.status}: {results.body[:500]!r}")
        lines = [orjson.loads(line) for line in results.body.splitlines()]
        if [line["index"] for line in lines] != list(range(self._open[job["id"]])):
            raise LedgerError(f"{job['id']}: {len(lines)} results, not one per input in order")
        for line in lines:
            if line["status"] != "succeeded" or line["output"] is None:
                raise LedgerError(f"{job['id']}: an item did not succeed: {line}")
        self._end(job)

    def settle(self) -> None:
        """Raise LedgerError unless every accepted job has ended and there was at least one."""
        if self._open or not self._ended:
            raise LedgerError(f"{len(self._open)} jobs never ended, {len(self._ended)} did")

    def _end(self, job: dict[str, Any]) -> None:
        if job["status"] != "succeeded":
            raise LedgerError(f"did not succeed: {job}")
        if job["id"] not in self._open:
            raise LedgerError(f"{job['id']} ended, but it was not open")
        self.items += self._open.pop(job["id"])
        self._ended.add(job["id"])

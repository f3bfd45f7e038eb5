from __future__ import annotations

import json
from typing import Any

import pytest

from bench.client import Response
from bench.traffic import Ledger, LedgerError, Target, bulk, single, until

DONE: dict[str, Any] = {"id": "j1", "status": "succeeded", "output": {"label": "allow"}}


def answer(document: Any, status: int = 202) -> Response:
    return Response(status, json.dumps(document).encode())


def lines(*documents: Any) -> Response:
    return Response(200, b"".join(json.dumps(d).encode() + b"\n" for d in documents))


def item(index: int, **changes: Any) -> dict[str, Any]:
    return {"index": index, "status": "succeeded", "output": {}, "error": None, **changes}


def test_a_post_is_framed_and_carries_key_and_preference() -> None:
    head, body = Target(("127.0.0.1", 80), "secret").post(b"{}", wait_s=30).split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1/jobs HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Authorization: Bearer secret",
        b"Prefer: wait=30",
        b"Content-Type: application/json",
        b"Content-Length: 2",
    ]
    assert body == b"{}"


def test_every_text_is_new() -> None:
    texts = [json.loads(single())["input"]["text"] for _ in range(3)]
    texts += [entry["text"] for entry in json.loads(bulk(5))["inputs"]]
    assert len(set(texts)) == 8


def test_until_gives_the_first_thing_even_when_time_is_up() -> None:
    assert list(until(0.0, iter([1, 2, 3]))) == [1]


def test_a_job_accepted_and_succeeded_is_counted_once() -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE))
    ledger.end(DONE)
    ledger.settle()
    assert (ledger.jobs, ledger.items) == (1, 1)


def test_a_job_that_never_ended_fails_the_bench() -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE))
    ledger.accept(answer({**DONE, "id": "j2"}))
    ledger.end(DONE)
    with pytest.raises(LedgerError, match="1 jobs never ended, 1 did"):
        ledger.settle()


def test_a_measurement_without_a_job_fails_the_bench() -> None:
    with pytest.raises(LedgerError, match="0 jobs never ended, 0 did"):
        Ledger().settle()


@pytest.mark.parametrize("status", [200, 202])
def test_an_id_given_twice_fails_the_bench(status: int) -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE, status))
    ledger.end(DONE)
    with pytest.raises(LedgerError, match="j1 was given twice"):
        ledger.accept(answer(DONE, status))


def test_a_job_that_ends_twice_fails_the_bench() -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE))
    ledger.end(DONE)
    with pytest.raises(LedgerError, match="j1 ended, but it was not open"):
        ledger.end(DONE)


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired", "running"])
def test_a_job_that_did_not_succeed_fails_the_bench(status: str) -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE))
    with pytest.raises(LedgerError, match="did not succeed"):
        ledger.end({**DONE, "status": status})


def test_a_success_without_output_fails_the_bench() -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE))
    with pytest.raises(LedgerError, match="without an output"):
        ledger.end({**DONE, "output": None})


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_refused_submit_fails_the_bench(status: int) -> None:
    with pytest.raises(LedgerError, match=f"submit answered {status}"):
        Ledger().accept(answer({}, status))


def test_a_job_that_cannot_be_read_fails_the_bench() -> None:
    with pytest.raises(LedgerError, match="reading a job answered 404"):
        Ledger().read(answer({}, 404))


def test_a_bulk_job_counts_its_items() -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE), items=2)
    ledger.end_bulk(DONE, lines(item(0), item(1)))
    ledger.settle()
    assert (ledger.jobs, ledger.items) == (1, 2)


@pytest.mark.parametrize(
    ("results", "says"),
    [
        (lines(item(0)), "1 results, not one per input in order"),
        (lines(item(1), item(0)), "2 results, not one per input in order"),
        (lines(item(0), item(1, status="failed")), "an item did not succeed"),
        (lines(item(0), item(1, output=None)), "an item did not succeed"),
        (Response(500, b"{}"), "results answered 500"),
    ],
)
def test_results_that_are_not_whole_fail_the_bench(results: Response, says: str) -> None:
    ledger = Ledger()
    ledger.accept(answer(DONE), items=2)
    with pytest.raises(LedgerError, match=says):
        ledger.end_bulk(DONE, results)

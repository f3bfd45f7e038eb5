"""What the server allows a client, with short times, so that tests see them pass."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import psutil
import pytest

from tests.eventually import eventually
from tests.integration.test_waiting_clients import live
from tests.integration.texts import texts
from tests.stack import Stack

SHORT = {
    "PENSTOCK_WEB_WORKERS": "1",
    "PENSTOCK_HEADER_TIMEOUT_S": "1",
    "PENSTOCK_BODY_TIMEOUT_S": "1",
    "PENSTOCK_SEND_TIMEOUT_S": "1",
}
ITEMS, TIMES = 1_000, 200  # results of this many items, asked for so often, fill any buffer


@pytest.fixture(scope="module")
def strict(stack: Stack) -> Iterator[Stack]:
    stack.stop("web")
    stack.start("web", **SHORT)
    eventually(lambda: live(stack), "an answer of /livez", within_s=60)
    yield stack
    stack.stop("web")
    stack.start("web")
    eventually(stack.ready, "an answer of /readyz", within_s=60)


def connect(stack: Stack, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", stack.settings.port), timeout=30)
    connection.sendall(sent)
    return connection


def request(stack: Stack, line: str, *headers: str) -> bytes:
    key = f"Authorization: Bearer {stack.settings.api_key}"
    lines = (f"{line} HTTP/1.1", "Host: 127.0.0.1", key, *headers, "", "")
    return "\r\n".join(lines).encode()


def heard(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    with connection, connection.makefile("rb") as stream:
        return stream.read()


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: 127"])
def test_a_header_that_does_not_come_ends_the_connection(strict: Stack, sent: bytes) -> None:
    assert heard(connect(strict, sent)) == b""


def test_a_connection_that_is_idle_between_requests_ends(strict: Stack) -> None:
    answer = heard(connect(strict, request(strict, "GET /livez")))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nserver: penstock\r\n" in answer


def test_a_header_that_is_too_long_is_refused(strict: Stack) -> None:
    long = "X-Long: " + "x" * (2 * strict.settings.max_header_bytes)
    answer = heard(connect(strict, request(strict, "GET /livez", long)))
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_answered_408_and_ends_the_connection(
    strict: Stack, framing: str
) -> None:
    head = request(strict, "POST /v1/jobs", "Content-Type: application/json", framing)
    answer = heard(connect(strict, head + b'20\r\n{"'))
    assert answer.startswith(b"HTTP/1.1 408 ")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["code"] == "request_timeout"
    assert f"\r\nx-request-id: {problem['request_id']}\r\n".encode() in answer


def test_a_body_in_pieces_is_read_whole(strict: Stack) -> None:
    body = json.dumps({"pipeline": "moderation", "input": {"text": "in pieces"}}).encode()
    head = request(
        strict,
        "POST /v1/jobs",
        "Content-Type: application/json",
        "Connection: close",
        f"Content-Length: {len(body)}",
    )
    connection = connect(strict, head)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in body:
        connection.sendall(bytes([byte]))
    assert heard(connection).split()[1] in {b"200", b"202"}


def test_answers_that_are_not_read_end_the_connection(strict: Stack) -> None:
    inputs = [{"text": text} for text in texts("unread", ITEMS)]
    with strict.client() as client:
        job = client.post("/v1/jobs", json={"pipeline": "moderation", "inputs": inputs}).json()
        eventually(lambda: ended(strict, job["id"]), "an ended job", within_s=90)
    with connect(strict) as connection:
        port = connection.getsockname()[1]
        connection.sendall(request(strict, f"GET /v1/jobs/{job['id']}/results") * TIMES)
        assert connection.recv(1) == b"H"  # it has been accepted, and answers
        assert port in clients(strict)
        eventually(lambda: port not in clients(strict), "an end of the connection", within_s=30)


def ended(stack: Stack, job_id: str) -> bool:
    with stack.client() as client:
        return bool(client.get(f"/v1/jobs/{job_id}?wait=60").json()["finished_at"])


def clients(stack: Stack) -> set[int]:
    """Ports of those that are connected to the web process that serves."""
    return {
        connection.raddr.port
        for process in stack.children("web")
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_ESTABLISHED
        and connection.laddr.port == stack.settings.port
    }

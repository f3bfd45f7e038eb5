"""The benchmark of webhooks delivers everything, whoever sends, and counts what came."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from bench.receiver import Receiver
from bench.senders import Penstock, Plain
from bench.webhooks import Found, Load, Make, measure, table

SMALL = Load(deliveries=20, per_s=50, seconds=1, endpoints=3)
MAKERS: dict[str, Make] = {
    "penstock": partial(Penstock, endpoints=3),
    "celery --concurrency=1": partial(Plain, endpoints=3, pool=("--concurrency=1",), body="{}"),
}


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
def test_every_delivery_of_each_sender_arrives(name: str) -> None:
    found = measure(MAKERS[name], SMALL)
    assert found.name == name
    assert found.rate > 0
    assert 0 < found.p50_ms <= found.p99_ms


def test_the_table_has_a_column_for_each_sender() -> None:
    found = [Found(name, 1_000.0, 1.0, 2.0, 300.0) for name in "ab"]
    assert [row.cells for row in table(found)] == [
        *(["1,000", "1,000"], ["1.0", "1.0"]),
        *(["2.0", "2.0"], ["300", "300"]),
    ]


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


def test_the_receiver_notes_the_first_arrival_of_each_id_however_it_is_cut() -> None:
    wire, receiver = Wire(), Receiver()
    receiver.connection_made(wire)
    post = b"POST / HTTP/1.1\r\nWebhook-Id: msg_A\r\nContent-Length: 2\r\n\r\n{}"
    for byte in post * 2:
        receiver.data_received(bytes([byte]))
    assert wire.written.count(b"204") == 2
    receiver.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert b'{"msg_A": ' in wire.written
    assert wire.written.count(b"msg_") == 1

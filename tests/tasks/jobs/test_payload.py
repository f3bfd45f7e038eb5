"""The format of a unit's payload in Redis."""

from __future__ import annotations

import orjson
import pytest

from tasks.jobs.payload import Payload

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
INPUTS = [{"text": "hello"}]
REJECTED = {"1": {"code": "invalid_input", "message": "Must be text."}}


@pytest.mark.parametrize(
    ("payload", "members"),
    [
        (Payload("null", {}, INPUTS), 4),
        (Payload("null", {}, INPUTS, "r"), 4),
        (Payload("null", {}, INPUTS, "r", REJECTED), 5),
        (Payload("null", {}, INPUTS, "r", traceparent=TRACE), 6),
        (Payload("null", {}, INPUTS, "r", REJECTED, TRACE), 6),
    ],
)
def test_a_payload_is_read_as_it_was_written_without_empty_members(
    payload: Payload, members: int
) -> None:
    text = payload.dump()
    assert Payload.load(text) == payload
    assert len(orjson.loads(text)) == members


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ('["webhooks",{},[]]', Payload("webhooks", {}, [])),
        ('["null",{},[{"text":"hello"}],"r"]', Payload("null", {}, INPUTS, "r")),
    ],
)
def test_a_payload_of_an_older_version_can_be_read(text: str, payload: Payload) -> None:
    assert Payload.load(text) == payload

"""Ports are handed out once, also where several processes of pytest-xdist ask at a time."""

from __future__ import annotations

import socket

import pytest

from tests import ports
from tests.ports import END, FIRST, free_port, free_ports, share_of


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 16])
def test_no_two_workers_have_a_port_in_common(workers: int) -> None:
    shares = [share_of(f"gw{number}", workers) for number in range(workers)]
    handed_out = [port for share in shares for port in share]
    assert len(set(handed_out)) == len(handed_out)
    assert FIRST <= min(handed_out) <= max(handed_out) < END


def test_a_port_is_told_to_one_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_unused", [*reversed(range(FIRST, FIRST + 20))])
    first = free_ports(3)
    others = {free_port() for _ in range(5)}
    assert not others & {first, first + 1, first + 2}
    assert len(others) == 5


def test_a_port_that_is_in_use_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        used = server.getsockname()[1]
        free = free_port()
        monkeypatch.setattr(ports, "_unused", [free, used])
        assert free_port() == free

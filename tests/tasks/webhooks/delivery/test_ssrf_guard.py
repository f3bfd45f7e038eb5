"""No connection to a forbidden address, however a URL or a name leads there.

Counted by a socket that listens on every address of this machine, and by all calls of connect()
except those of threads that existed before: an API of an earlier test may still seek its Redis.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tasks.config.settings import Settings
from tasks.webhooks import url_policy
from tasks.webhooks.delivery import ssrf_guard
from tasks.webhooks.delivery.http_client import DeliveryResponse, WebhookClient
from tests.ports import free_port
from tests.receiver import Receiver, answer

PRODUCTION = Settings(
    redis_password="r" * 16,
    api_key="k" * 16,
    key_pepper="p" * 16,
    webhook_key="w" * 16,
    webhook_timeout_ms=5_000,
)
PUBLIC = "127.0.0.2"  # stands in for a public address, see `public_stand_in`


class Trap:
    """Listens on one port of all addresses, IPv6 too, and counts connections."""

    def __init__(self) -> None:
        self.port = free_port()
        self.visits = 0
        self.tried: list[Any] = []
        self._done = False
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._sock = socket.create_server(("", self.port), family=family, dualstack_ipv6=both)
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        while True:
            visitor, _ = self._sock.accept()
            if self._done:
                visitor.close()
                return
            self.visits += 1  # first: with the end of the connection the client goes on
            visitor.close()

    def close(self) -> None:
        self._done = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._sock.close()


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    with closing(Trap()) as found:
        connect = socket.socket.connect
        strangers = set(threading.enumerate()) - {threading.current_thread()}

        def noted(sock: socket.socket, address: Any) -> None:
            if threading.current_thread() not in strangers:
                found.tried.append(address)
            connect(sock, address)

        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "connect", noted)
            yield found


def settings_of(trap: Trap, *named: str) -> Settings:
    """Settings that allow the trap's port, so that no request is refused for its port alone."""
    return replace(PRODUCTION, webhook_ports=(443, trap.port), webhook_http_hosts=named)


class FakeDns:
    """Stands in for DNS: returns one answer after another; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _: str) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def send(settings: Settings, *urls: str, names: FakeDns | None = None) -> list[DeliveryResponse]:
    async def run() -> list[DeliveryResponse]:
        webhook_client = WebhookClient(settings, names)
        replies = [await webhook_client.send(url, b"{}", {"webhook-id": "msg_1"}) for url in urls]
        await webhook_client.close()
        return replies

    return asyncio.run(run())


URLS = [
    # a scheme, or a part of the URL, that is not allowed
    "http://example.com:{port}/",
    "http://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "https://user@127.0.0.1:{port}/",
    "https://example.com@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}@example.com/",
    "https://127.0.0.1:{port}\\@example.com/",
    "https://127.0.0.1:{port}#@example.com/",
    "https://127.0.0.1:{port}?@example.com/",
    # IPv4 in all its spellings
    "https://127.0.0.1:{port}/",
    "https://127.0.0.1.:{port}/",
    "https://127.255.255.254:{port}/",
    "https://0.0.0.0:{port}/",
    "https://0:{port}/",
    "https://2130706433:{port}/",
    "https://017700000001:{port}/",
    "https://0x7f000001:{port}/",
    "https://0X7F000001:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://0x7f.0.0.1:{port}/",
    "https://0x7f.1:{port}/",
    "https://127.1:{port}/",
    "https://127.0.1:{port}/",
    "https://127.0.0.0x1:{port}/",
    "https://127.0.0.01:{port}/",
    "https://00000127.0.0.1:{port}/",
    "https://127.0.0.1%00.example.com:{port}/",
    "https://%31%32%37.0.0.1:{port}/",
    "https://１２７.0.0.1:{port}/",
    "https://①②⑦.0.0.1:{port}/",
    "https://127。0。0。1:{port}/",
    "https://10.0.0.1:{port}/",
    "https://172.16.0.1:{port}/",
    "https://192.168.0.1:{port}/",
    "https://100.64.0.1:{port}/",
    "https://169.254.169.254:{port}/latest/meta-data/",
    "https://224.0.0.1:{port}/",
    "https://255.255.255.255:{port}/",
    # IPv6
    "https://[::1]:{port}/",
    "https://[0:0:0:0:0:0:0:1]:{port}/",
    "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:7f00:1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://[64:ff9b:1::7f00:1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://[fe80::1%25lo]:{port}/",
    "https://[::1%25lo]:{port}/",
    "https://[fec0::1]:{port}/",
    "https://[fc00::1]:{port}/",
    "https://[ff02::1]:{port}/",
    "https://[fd00:ec2::254]:{port}/",
    # names that are never public
    "https://localhost:{port}/",
    "https://LOCALHOST.:{port}/",
    "https://a.localhost:{port}/",
    "https://redis:{port}/",
    "https://metadata.google.internal:{port}/",
]


@pytest.mark.parametrize("url", URLS)
def test_no_url_leads_to_a_forbidden_address(trap: Trap, url: str) -> None:
    names = FakeDns(["127.0.0.1"])
    (reply,) = send(settings_of(trap), url.format(port=trap.port), names=names)
    assert (reply.status, reply.error) == (None, "forbidden_url")
    assert (trap.visits, trap.tried, names.asked) == (0, [], 0)


ANSWERS = [
    ["127.0.0.1"],
    ["127.8.8.8"],
    ["0.0.0.0"],
    ["10.0.0.1"],
    ["172.16.0.1"],
    ["192.168.1.1"],
    ["100.64.0.1"],
    ["169.254.169.254"],
    ["168.63.129.16"],
    ["192.0.0.192"],
    ["198.18.0.1"],
    ["203.0.113.1"],
    ["224.0.0.1"],
    ["240.0.0.1"],
    ["255.255.255.255"],
    ["::1"],
    ["::"],
    ["::ffff:127.0.0.1"],
    ["::ffff:93.184.215.14"],
    ["::127.0.0.1"],
    ["64:ff9b::7f00:1"],
    ["64:ff9b:1::7f00:1"],
    ["2002:7f00:1::"],
    ["2001:0:4136:e378:8000:63bf:80ff:fffe"],
    ["fe80::1"],
    ["fe80::1%lo"],
    ["fec0::1"],
    ["fc00::1"],
    ["fd00:ec2::254"],
    ["ff02::1"],
    ["93.184.215.14", "127.0.0.1"],
    ["127.0.0.1", "93.184.215.14"],
    ["93.184.215.14", "2606:2800:21f:cb07::1", "::1"],
    ["93.184.215.14", "::ffff:127.0.0.1"],
]


@pytest.mark.parametrize("answer_", ANSWERS, ids=", ".join)
def test_no_name_leads_to_a_forbidden_address(trap: Trap, answer_: list[str]) -> None:
    url = f"https://example.com:{trap.port}/"
    (reply,) = send(settings_of(trap), url, names=FakeDns(answer_))
    assert (reply.status, reply.error) == (None, "forbidden_address")
    assert (trap.visits, trap.tried) == (0, [])


@pytest.fixture
def public_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address of this machine counts as public, so no test connects to another machine."""
    is_forbidden = url_policy.is_forbidden

    def but_for_one(address: str) -> bool:
        return address != PUBLIC and is_forbidden(address)

    monkeypatch.setattr(url_policy, "is_forbidden", but_for_one)
    monkeypatch.setattr(ssrf_guard, "is_forbidden", but_for_one)


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """Listen on one address, collect what arrives, and close each connection."""
    came: list[bytes] = []
    sock = socket.create_server((host, port))

    def serve() -> None:
        while True:
            visitor, _ = sock.accept()
            with visitor:
                came.append(visitor.recv(1_024))
            if came[-1] == b"end":
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock, came
    finally:
        with socket.create_connection(sock.getsockname()) as last:
            last.send(b"end")
        thread.join()
        sock.close()


@pytest.mark.usefixtures("public_stand_in")
@pytest.mark.parametrize("tries", [1, 3])
def test_a_name_that_changes_between_check_and_connection_has_no_effect(tries: int) -> None:
    """A connection goes to the checked address; every later one is checked again."""
    names = FakeDns([PUBLIC], ["127.0.0.1"])
    with listening(PUBLIC) as (sock, allowed):
        port = sock.getsockname()[1]
        with listening("127.0.0.1", port) as (_, forbidden):
            settings = replace(PRODUCTION, webhook_ports=(port,))
            replies = send(settings, *[f"https://example.com:{port}/"] * tries, names=names)
            assert (len(allowed), forbidden) == (1, [])
    assert names.asked == tries
    errors = [reply.error for reply in replies]
    assert errors[0] in ("connection_reset", "tls_failed")
    assert errors[1:] == ["forbidden_address"] * (tries - 1)


@pytest.mark.usefixtures("public_stand_in")
def test_one_forbidden_address_among_allowed_ones_refuses_the_host() -> None:
    with listening(PUBLIC) as (sock, allowed):
        port = sock.getsockname()[1]
        settings = replace(PRODUCTION, webhook_ports=(port,))
        names = FakeDns([PUBLIC, "10.0.0.1"])
        (reply,) = send(settings, f"https://example.com:{port}/", names=names)
        assert (reply.error, allowed) == ("forbidden_address", [])


def test_a_redirect_to_a_forbidden_address_is_not_followed(trap: Trap) -> None:
    for target in ("http://169.254.169.254/latest/", f"http://127.0.0.1:{trap.port}/"):
        with Receiver(answer(302, f"Location: {target}")) as receiver:
            named = settings_of(trap, "localhost")
            url = f"http://localhost:{receiver.port}/"
            (reply,) = send(named, url, names=FakeDns(["127.0.0.1"]))
            assert (reply.status, reply.error) == (302, "redirected")
            assert trap.tried.pop() == ("127.0.0.1", receiver.port)
    assert (trap.visits, trap.tried) == (0, [])


def test_named_hosts_are_reached_and_the_trap_counts_them(trap: Trap) -> None:
    (reply,) = send(settings_of(trap, "localhost"), f"http://localhost:{trap.port}/")
    assert reply.error == "connection_reset"
    assert trap.visits == 1
    assert len(trap.tried) >= 1


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "0.0.0.0"])
def test_named_hosts_lead_to_loopback_and_no_further(trap: Trap, address: str) -> None:
    settings = settings_of(trap, "localhost")
    (reply,) = send(settings, f"http://localhost:{trap.port}/", names=FakeDns([address]))
    assert (reply.error, trap.visits, trap.tried) == ("forbidden_address", 0, [])


def test_no_socket_is_created_for_a_forbidden_address() -> None:
    """The last check, for an address that was not found by a name."""
    made = ssrf_guard.SsrfResolver(PRODUCTION, FakeDns())
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 443))
    with pytest.raises(ssrf_guard.ForbiddenAddress):
        made.socket(info)
    named = ssrf_guard.SsrfResolver(
        replace(PRODUCTION, webhook_http_hosts=("localhost",)), FakeDns()
    )
    named.socket(info).close()

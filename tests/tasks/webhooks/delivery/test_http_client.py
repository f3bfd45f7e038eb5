"""One POST: what the receiver gets, what the response says, how much is read, the deadline."""

from __future__ import annotations

import asyncio
import datetime
import errno
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tasks.config.settings import Settings
from tasks.webhooks.delivery.http_client import DeliveryResponse, WebhookClient
from tests.ports import free_port
from tests.receiver import Behaviour, Flood, Receiver, answer, hang, reset, trickle

HEADERS = {"webhook-id": "msg_1"}
SETTINGS = Settings(
    redis_password="r" * 16,
    api_key="k" * 16,
    key_pepper="p" * 16,
    webhook_key="w" * 16,
    webhook_http_hosts=("127.0.0.1", "receiver.example"),
    webhook_timeout_ms=60_000,
)


def send(*urls: str, settings: Settings = SETTINGS, **options: Any) -> list[DeliveryResponse]:
    """Send requests one after another with one client."""

    async def run() -> list[DeliveryResponse]:
        webhook_client = WebhookClient(settings, **options)
        replies = [await webhook_client.send(url, b'{"a": 1}', HEADERS) for url in urls]
        await webhook_client.close()
        return replies

    return asyncio.run(run())


def response_of(behave: Behaviour, settings: Settings = SETTINGS) -> DeliveryResponse:
    with Receiver(behave) as receiver:
        (response,) = send(receiver.url, settings=settings)
    return response


def test_the_receiver_gets_the_body_and_the_headers_and_nothing_else() -> None:
    with Receiver() as receiver:
        (response,) = send(receiver.url + "?token=x%20y")
    (got,) = receiver.got
    assert (response.status, response.error) == (204, None)
    assert (got.path, got.body) == ("/hook?token=x%20y", b'{"a": 1}')
    assert got.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "content-type": "application/json",
        "content-length": "8",
        "user-agent": "Penstock-Webhooks",
        "accept": "*/*",
        "webhook-id": "msg_1",
    }


@pytest.mark.parametrize(
    ("behave", "status", "error"),
    [
        (answer(200, body=b"thanks"), 200, None),
        (answer(299), 299, None),
        (answer(301, "Location: /elsewhere"), 301, "redirected"),
        (answer(304), 304, "redirected"),
        (answer(400), 400, "bad_status"),
        (answer(410), 410, "gone"),
        (answer(500, body=b"a stack trace"), 500, "bad_status"),
        (reset, None, "connection_reset"),
    ],
)
def test_only_2xx_is_success(behave: Behaviour, status: int | None, error: str | None) -> None:
    response = response_of(behave)
    assert (response.status, response.error) == (status, error)


def test_a_redirect_is_not_followed() -> None:
    with Receiver() as other, Receiver(answer(307, f"Location: {other.url}")) as receiver:
        (response,) = send(receiver.url)
    assert response.error == "redirected"
    assert (receiver.connections, other.connections) == (1, 0)


def test_a_closed_port_is_a_refused_connection() -> None:
    (response,) = send(f"http://127.0.0.1:{free_port()}/")
    assert (response.status, response.error) == (None, "connection_refused")


def test_a_name_without_an_address_is_a_failed_lookup() -> None:
    async def nothing(_: str) -> Sequence[str]:
        raise OSError("no such name")

    (response,) = send("https://example.com/", lookup=nothing)
    assert (response.status, response.error) == (None, "dns_failed")


def test_a_response_that_is_not_http_is_a_bad_response() -> None:
    async def babble(writer: asyncio.StreamWriter, _: object) -> None:
        writer.write(b"220 smtp.example.com ESMTP\r\n\r\n")
        await writer.drain()

    assert response_of(babble).error == "bad_response"


@pytest.mark.parametrize("behave", [hang, trickle])
def test_the_whole_attempt_has_a_deadline(behave: Behaviour) -> None:
    response = response_of(behave, replace(SETTINGS, webhook_timeout_ms=300))
    assert (response.status, response.error) == (None, "timeout")
    assert response.ms >= 300


@pytest.mark.parametrize(("status", "error"), [(200, None), (500, "bad_status")])
def test_little_is_read_of_a_gigabyte(status: int, error: str | None) -> None:
    flood = Flood(status)
    response = response_of(flood)
    assert (response.status, response.error) == (status, error)
    assert flood.sent < 2**26  # what fits into the buffers of both kernels


def test_a_body_that_never_ends_does_not_change_the_result() -> None:
    async def never_ends(writer: asyncio.StreamWriter, _: object) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        await asyncio.Event().wait()

    response = response_of(never_ends)
    assert (response.status, response.error) == (200, None)


def test_connections_are_reused_and_one_that_the_server_closed_is_no_failure() -> None:
    with Receiver() as receiver:
        assert [response.status for response in send(receiver.url, receiver.url)] == [204, 204]
        assert receiver.connections == 1
        asked = []

        async def close_after_the_first(writer: asyncio.StreamWriter, _: object) -> None:
            asked.append(1)
            if len(asked) == 2:
                writer.transport.abort()
                return
            writer.write(b"HTTP/1.1 204 X\r\n\r\n")
            await writer.drain()

        receiver.behave = close_after_the_first
        replies = send(receiver.url, receiver.url)
    assert [response.status for response in replies] == [204, 204]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 120"], 120),
        (
            [
                "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT",
                "Date: Fri, 31 Dec 1999 23:58:59 GMT",
            ],
            60,
        ),
        (["Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: -5"], None),
        ([], None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(headers: list[str], seconds: float | None) -> None:
    assert response_of(answer(503, *headers)).retry_after_s == seconds


def test_a_lack_of_file_descriptors_is_no_failure_of_the_endpoint() -> None:
    async def lookup(_: str) -> Sequence[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    (response,) = send("https://example.com/", lookup=lookup)
    assert response.error == "internal"


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for `name` and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    path = folder / f"{name}.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + made.public_bytes(Encoding.PEM))
    return path


def over_tls(
    folder: Path, name: str, trusted: bool
) -> tuple[DeliveryResponse, list[str | None], list[Any]]:
    """Send to https://receiver.example at a receiver that shows a certificate for `name`."""
    path = certificate(folder, name)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    asked: list[str | None] = []
    server.sni_callback = lambda _, host, __: asked.append(host)
    client = ssl.create_default_context(cafile=str(path) if trusted else None)

    async def lookup(_: str) -> Sequence[str]:
        return ["127.0.0.1"]

    with Receiver(tls=server) as receiver:
        url = f"https://receiver.example:{receiver.port}/hook"
        (response,) = send(url, lookup=lookup, tls=client)
    return response, asked, receiver.got


def test_the_connection_goes_to_the_address_with_the_name_in_sni_and_host(tmp_path: Path) -> None:
    response, asked, (got,) = over_tls(tmp_path, "receiver.example", trusted=True)
    assert (response.status, asked) == (204, ["receiver.example"])
    assert got.headers["host"].partition(":")[0] == "receiver.example"


@pytest.mark.parametrize(
    ("name", "trusted"), [("receiver.example", False), ("other.example", True)]
)
def test_a_certificate_that_is_not_trusted_or_not_of_the_host_is_refused(
    tmp_path: Path, name: str, trusted: bool
) -> None:
    response, _, got = over_tls(tmp_path, name, trusted)
    assert (response.status, response.error, got) == (None, "tls_failed", [])


def test_the_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        (response,) = send(receiver.url)
    assert (response.status, proxy.connections, receiver.connections) == (204, 0, 1)


def test_cookies_are_not_kept() -> None:
    with Receiver(answer(200, "Set-Cookie: a=1")) as receiver:
        send(receiver.url, receiver.url)
    assert len(receiver.got) == 2
    assert all("cookie" not in got.headers for got in receiver.got)

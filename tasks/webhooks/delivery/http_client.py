"""HTTP client for webhooks: one POST to a checked address, within a deadline.

    URL -> host name -> all its addresses checked -> connection to one of them -> POST -> status

The name is resolved once for each connection, which goes to the resolved address with the name in
SNI and Host, so a DNS answer that changes afterwards has no effect. Redirects are not followed,
proxies and .netrc of the environment are not used, and cookies are not kept.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from tasks.config.settings import Settings
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import failures
from tasks.webhooks.delivery.ssrf_guard import (
    ForbiddenAddress,
    Lookup,
    SsrfResolver,
    SystemResolver,
)
from tasks.webhooks.url_policy import ForbiddenURL, check_url

log = get_logger(__name__)

MAX_BODY_BYTES = 65_536
DRAIN_S = 1.0  # to read a response's body, so that its connection can be reused
KEEP_ALIVE_S = 5.0

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (ForbiddenURL, "forbidden_url"),
    (ForbiddenAddress, "forbidden_address"),
    (TimeoutError, "timeout"),
    (ssl.SSLError, "tls_failed"),
    (aiohttp.ClientSSLError, "tls_failed"),
    (aiohttp.ClientConnectorDNSError, "dns_failed"),
    (ConnectionRefusedError, "connection_refused"),
    (ConnectionError, "connection_reset"),
    (aiohttp.ClientConnectorError, "connection_failed"),
    (aiohttp.ClientOSError, "connection_reset"),  # after it was established
    (aiohttp.ServerDisconnectedError, "connection_reset"),
    (OSError, "connection_failed"),
    (aiohttp.ClientError, "bad_response"),
    (ValueError, "bad_response"),
)


@dataclass(frozen=True, slots=True)
class DeliveryResponse:
    """The result of a POST. ms: until the status arrived, or the failure.

    status: None if none arrived. error: None after a 2xx, else a short code that tells the
    endpoint's owner what was wrong, but neither the response's body nor its address.
    """

    status: int | None
    error: str | None
    ms: float
    retry_after_s: float | None = None


class WebhookClient:
    """The HTTP client of one event loop, which must create it."""

    def __init__(
        self, settings: Settings, lookup: Lookup | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        resolver = SsrfResolver(settings, lookup or SystemResolver(settings.webhook_concurrency))
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            use_dns_cache=False,
            socket_factory=resolver.socket,
            limit=0,  # tasks.webhooks.delivery.concurrency is the limit
            keepalive_timeout=KEEP_ALIVE_S,
            ssl=tls or True,
        )
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_mark_reused)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept-Encoding",),
            headers={"Content-Type": "application/json", "User-Agent": "Penstock-Webhooks"},
            trace_configs=[tracing],
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> DeliveryResponse:
        """POST `body`; never raises for a failed request: the response has the error."""
        started = time.monotonic()
        limit_s = self._settings.webhook_timeout_ms / 1000
        try:
            checked = check_url(url, self._settings)
            async with asyncio.timeout(limit_s):
                response = await self._post(checked, body, headers)
        except Exception as error:
            return DeliveryResponse(None, _code_of(error), _ms_since(started))
        result = _read_status(response, _ms_since(started))
        await _drain(response, min(DRAIN_S, limit_s))
        return result

    async def _post(
        self, url: URL, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """POST, again on a new connection if the server had just closed a reused one."""
        reused: list[bool] = []
        while True:
            try:
                return await self._session.post(
                    url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=reused,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not reused:
                    raise
                reused.clear()


def _read_status(response: aiohttp.ClientResponse, ms: float) -> DeliveryResponse:
    status = response.status
    error = "bad_status"
    if 200 <= status < 300:
        return DeliveryResponse(status, None, ms)
    if 300 <= status < 400:
        error = "redirected"
    elif status == 410:
        error = "gone"
    return DeliveryResponse(status, error, ms, _retry_after_s(response.headers))


async def _drain(response: aiohttp.ClientResponse, limit_s: float) -> None:
    """Read a short body to its end, so that the connection can be reused."""
    left = MAX_BODY_BYTES
    with suppress(aiohttp.ClientError, OSError, ValueError):
        async with asyncio.timeout(limit_s):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
    response.release()  # closes the connection unless the body was read to its end


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After (RFC 9110, 10.2.3); a date counts from the server's own Date."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def _code_of(error: Exception) -> str:
    """The error code of a failed request; "internal" if the fault is on our side."""
    cause = getattr(error, "os_error", error)  # of a failed connection
    if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
        log.error("webhook not sent: the process has reached its limit of open files")
        return "internal"
    for kind, code in _CODES:
        if isinstance(cause, kind) or isinstance(error, kind):
            return code
    log.error("webhook not sent", exc_info=error)
    failures.unexpected(error, "webhook client")
    return "internal"


async def _mark_reused(_: object, context: Any, __: object) -> None:
    context.trace_request_ctx.append(True)


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)

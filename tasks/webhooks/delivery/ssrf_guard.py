"""SSRF guard: resolver and socket factory that let webhooks connect to checked addresses only.

A name is resolved once for each connection. If any of its addresses is forbidden, none is used.
Otherwise the connection goes to one of the checked addresses, even if DNS has changed since.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from tasks.config.settings import Settings
from tasks.webhooks.url_policy import is_forbidden, may_reach

Lookup = Callable[[str], Awaitable[Sequence[str]]]


class ForbiddenAddress(OSError):
    """A host name resolves to an address to which webhooks must not connect."""


class SsrfResolver(AbstractResolver):
    """aiohttp resolver that refuses a host if one of its addresses is forbidden."""

    def __init__(self, settings: Settings, lookup: Lookup) -> None:
        self._settings = settings
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of `host`.

        Raises:
            ForbiddenAddress: webhooks for `host` must not connect to one of them.
            OSError: it has none.
        """
        addresses = await self._lookup(host)
        if not addresses:
            raise OSError("no address")
        if not all(may_reach(host, address, self._settings) for address in addresses):
            raise ForbiddenAddress
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Create the socket of a connection, after a last check of its address.

        Every connection is made through here, however its address was found.

        Raises:
            ForbiddenAddress: no allowed host has this address.
        """
        family, kind, protocol, _, address = info
        named = self._settings.webhook_http_hosts
        if is_forbidden(address[0]) and not any(
            may_reach(host, address[0], self._settings) for host in named
        ):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing to close; aiohttp requires the method."""


class SystemResolver:
    """The system's resolver. It blocks, so it has its own threads: a slow name delays no others."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "dns")

    async def __call__(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses, host)


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("not a host name") from None
    return [str(address[0]) for *_, address in found]

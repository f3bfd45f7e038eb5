"""The SSRF guard at the connection: webhooks connect to addresses that were checked, and no others.

A name is resolved once for a connection. If any of its addresses is forbidden, none is used; else
the connection goes to one of those that were checked, whatever the name stands for by then.
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
    """A name stands for an address that webhooks may not go to."""


class SsrfResolver(AbstractResolver):
    """Lets connections go to allowed addresses alone."""

    def __init__(self, settings: Settings, lookup: Lookup) -> None:
        self._settings = settings
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of `host`.

        Raises:
            ForbiddenAddress: webhooks for `host` may not go to one of them.
            OSError: there are none.
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
        """The last look, whichever way an address came: nothing connects but through here."""
        family, kind, protocol, _, address = info
        named = self._settings.webhook_http_hosts
        if is_forbidden(address[0]) and not any(
            may_reach(host, address[0], self._settings) for host in named
        ):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        pass


class SystemResolver:
    """The system's resolver. It blocks, hence threads of its own: slow names delay no others."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "names")

    async def __call__(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses, host)


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("not a name") from None
    return [str(address[0]) for *_, address in found]

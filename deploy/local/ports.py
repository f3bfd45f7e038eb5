"""Checks that the ports are free before anything is started."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import NamedTuple

from deploy.local.errors import RunnerError

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Address(NamedTuple):
    """An address on which a process will listen, and the variable that sets its port."""

    variable: str
    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        """The host that a client on this machine uses: a wildcard address is not a destination."""
        return _WILDCARDS.get(self.host, self.host)

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        host = self.reachable_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def require_free(addresses: Iterable[Address]) -> None:
    """Raise unless each of the addresses can be listened on.

    Raises:
        RunnerError: some cannot; each one's variable and the reason are named.
    """
    taken_by: dict[int, str] = {}
    problems = []
    for address in addresses:
        twin = taken_by.setdefault(address.port, address.variable)
        if twin != address.variable:
            problems.append(f"{twin} and {address.variable} are both {address.port}.")
        elif problem := _problem(address):
            problems.append(problem)
    if problems:
        raise RunnerError("\n".join(problems))


def free_block(host: str, first: int, size: int) -> int:
    """The first of `size` free ports in a row, from `first` on in steps of ten."""
    for start in range(first, 65_000, 10):
        if not any(_problem(Address("", host, start + n)) for n in range(size)):
            return start
    return first  # the process that is to listen there will report the error


def _problem(address: Address) -> str | None:
    variable, host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            # As servers do: connections that are still closing do not hold the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} is taken. Choose another one, e.g. {variable}={port + 1} make up"
        return f"{variable}={port} cannot be used on {host}: {error.strerror or error}."
    return None

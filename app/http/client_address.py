"""Where a request came from, when proxies that we trust stand in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

ONE_CLIENT_V6 = (
    64  # bits: a site has at least so much to itself (RFC 6177), and may walk about in it
)


def parse_networks(given: Iterable[str]) -> tuple[Network, ...]:
    """CIDR notations, each a network or one address, as networks."""
    return tuple(ip_network(network) for network in given)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's address: the peer's, or what trusted proxies say of it in X-Forwarded-For.

    Each proxy appends whom it was asked by, so the list is read from the right, up to the first
    address that is no trusted proxy's: whatever stands left of it, anybody may have written. What
    is no address ends the reading likewise. If all are trusted, it is the left-most.
    """
    address = _read(peer)
    if address is None:
        return peer  # a Unix socket has none
    said = forwarded_for.split(",")
    while said and any(address in network for network in trusted):
        before = _read(said.pop())
        if before is None:
            break
        address = before
    return str(address)


def network_of(address: str) -> str:
    """What one client holds: an IPv4 address, or the /64 network around an IPv6 address."""
    read = _read(address)
    if isinstance(read, IPv6Address):
        return str(IPv6Network((read, ONE_CLIENT_V6), strict=False))
    return address


def _read(text: str) -> Address | None:
    """One address as proxies write it: quoted, bracketed, with a port or a zone behind; or None."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address

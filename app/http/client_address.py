"""The address of a client behind trusted proxies (X-Forwarded-For)."""

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

# Prefix length, bits: a site has at least a /64 (RFC 6177), and a client may use any address of it.
ONE_CLIENT_V6 = 64


def parse_networks(given: Iterable[str]) -> tuple[Network, ...]:
    """Parse networks and single addresses in CIDR notation."""
    return tuple(ip_network(network) for network in given)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's address: the peer's, or the one that trusted proxies put into X-Forwarded-For.

    Each proxy appends the address of the peer that called it. So the list is read from the right,
    up to the first that is not a trusted proxy's: anybody may have written what is left of
    it. Text that is no address ends the reading, too. If all are trusted, it is the left-most one.
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
    """The network of one client: an IPv4 address alone, or the /64 around an IPv6 address."""
    read = _read(address)
    if isinstance(read, IPv6Address):
        return str(IPv6Network((read, ONE_CLIENT_V6), strict=False))
    return address


def _read(text: str) -> Address | None:
    """Parse one address as proxies write it: perhaps quoted, bracketed, with a port or a zone."""
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

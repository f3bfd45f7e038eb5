"""URL policy of webhooks: which URLs are allowed, and to which addresses they may lead.

Owners choose the URLs, and the worker may stand inside a network that they must not reach (SSRF).
So a URL is checked when it is given and again before each attempt, and every address that its host
name resolves to is checked before each connection (`tasks.webhooks.delivery.ssrf_guard`).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

from tasks.config.settings import Settings

MAX_CHARACTERS = 2_048

_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label of an IPv4 address (WHATWG)
_PRIVATE = (".localhost", ".local", ".internal")  # suffixes that no public host has

# In addition to what `ipaddress` calls not global, which differs between versions of Python
_DENIED_V4 = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure answers its machines here, with a public address
    )
]
# Of IPv6 only global unicast is allowed. That excludes loopback, IPv4-mapped and
# -compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard, segment routing, unique local,
# link-local, site-local and multicast.
_GLOBAL_V6 = ip_network("2000::/3")
_DENIED_V6 = [
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID ...
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries any IPv4 address
        "3fff::/20",  # documentation
    )
]


class ForbiddenURL(ValueError):
    """The URL is not allowed for webhooks. The text says why, and what is allowed."""


def check_url(text: str, settings: Settings) -> URL:
    """Parse and check a URL; returns it as an attempt will use it.

    Raises:
        ForbiddenURL: it is malformed, or not allowed for webhooks.
    """
    url = _parsed(text)
    host = _checked_host(url)
    named = is_named(host, settings)
    address = _literal(host)
    if address is None and not named and ("." not in host or host.endswith(_PRIVATE)):
        raise ForbiddenURL("must have the name of a public host")
    if url.scheme != "https" and not (url.scheme == "http" and named):
        raise ForbiddenURL("must begin with https://")
    _check_port(url, named, settings)
    if address is not None and not may_reach(host, str(address), settings):
        raise ForbiddenURL("must not lead to a private or reserved address")
    return url


def may_reach(host: str, address: str, settings: Settings) -> bool:
    """Whether a webhook for `host` may connect to `address`, to which it resolves."""
    if not is_forbidden(address):
        return True
    return is_named(host, settings) and _is_loopback(ip_address(address))


def is_forbidden(address: str) -> bool:
    """Whether an address is not an ordinary address of the public Internet."""
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        denied = any(found in network for network in _DENIED_V4)
    else:
        denied = found not in _GLOBAL_V6 or any(found in network for network in _DENIED_V6)
    return denied or not found.is_global or found.is_multicast


def is_named(host: str, settings: Settings) -> bool:
    """Whether the operator allows http and loopback addresses for this host."""
    named = {name.lower() for name in settings.webhook_http_hosts}
    return host.removesuffix(".").lower() in named


def _parsed(text: str) -> URL:
    """Parse with the HTTP client's own parser, so that both see the same host."""
    if len(text) > MAX_CHARACTERS:
        raise ForbiddenURL(f"must have at most {MAX_CHARACTERS} characters")
    if not _PRINTABLE.fullmatch(text) or "\\" in text:
        raise ForbiddenURL("must be plain ASCII without spaces (write an IDN as xn--...)")
    try:
        url = URL(text)
    except ValueError:
        raise ForbiddenURL("must be a valid URL") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ForbiddenURL("must begin with https:// and a host")
    authority = re.split(r"[/?#]", text.partition("://")[2])[0]
    if "@" in authority:
        raise ForbiddenURL("must not contain a user name or password")
    if "[" in authority and ":" not in url.raw_host:
        raise ForbiddenURL("must have an IPv6 address in its brackets")
    return url


def _checked_host(url: URL) -> str:
    written = (url.raw_host or "").lower()
    host = written.removesuffix(".")
    if ":" in host:
        if "%" in host or _literal(host) is None:
            raise ForbiddenURL("must have a plain IPv6 address, without a zone")
        return host
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise ForbiddenURL("must have a host name of letters, digits, hyphens and dots")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and _literal(written) is None:
        raise ForbiddenURL("must write an IPv4 address as four decimal numbers")
    return host


def _check_port(url: URL, named: bool, settings: Settings) -> None:
    allowed = {port for port in settings.webhook_ports if url.scheme == "http" or port != 80}
    if not named and url.port not in allowed:
        shown = ", ".join(map(str, sorted(allowed)))
        raise ForbiddenURL(f"must use one of the ports {shown}")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(address: IPv4Address | IPv6Address) -> bool:
    return address == IPv6Address("::1") or address in ip_network("127.0.0.0/8")

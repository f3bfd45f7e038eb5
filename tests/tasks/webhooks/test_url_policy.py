"""Allowed and forbidden URLs and addresses of webhooks, in many spellings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.config.settings import Settings
from tasks.webhooks.url_policy import ForbiddenURL, check_url, is_forbidden, may_reach

PRODUCTION = Settings(
    redis_password="r" * 16, api_key="k" * 16, key_pepper="p" * 16, webhook_key="w" * 16
)
DEVELOPMENT = replace(PRODUCTION, webhook_http_hosts=("localhost", "127.0.0.1"))

PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:2800:21f:cb07::1", "2a00:1450:4001:80b::200e"]
FORBIDDEN = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "unique local": ["fc00::1", "fd00:ec2::254"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0"],
    "metadata": ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1"],
    "6to4": ["2002:7f00:1::", "2002:808:808::1", "192.88.99.1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:7f00:1"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "site-local": ["fec0::1", "feff::1"],
    "documentation": ["192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "3fff::1"],
    "benchmark": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "reserved": ["240.0.0.1", "192.0.0.8", "100::1", "2001:10::1", "4000::1", "5f00::1"],
    "broadcast": ["255.255.255.255"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_forbidden(address) is False


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, one) for kind, some in FORBIDDEN.items() for one in some]
)
def test_all_other_addresses_are_forbidden(kind: str, address: str) -> None:
    assert is_forbidden(address) is True, kind


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=x%20y#part",
        "https://EXAMPLE.com./hook",
        "https://xn--bcher-kva.example/",
        "https://sub_domain.example.com:443/",
        "https://1.1.1.1/",
        "https://[2606:2800:21f:cb07::1]/",
    ],
)
def test_ordinary_urls_are_allowed(url: str) -> None:
    assert check_url(url, PRODUCTION).scheme == "https"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://example.com/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https:// and a host"),
        ("//example.com/", "must begin with https:// and a host"),
        ("example.com", "must begin with https:// and a host"),
        ("https:///path", "must begin with https:// and a host"),
        ("https://user@example.com/", "must not contain a user name or password"),
        ("https://user:word@example.com/", "must not contain a user name or password"),
        ("https://@example.com/", "must not contain a user name or password"),
        ("https://example.com:22/", "must use one of the ports 443"),
        ("https://example.com:80/", "must use one of the ports 443"),
        ("https://example.com:99999/", "must be a valid URL"),
        ("https://exa mple.com/", "must be plain ASCII without spaces"),
        ("https://example.com/\r\nHost: x", "must be plain ASCII without spaces"),
        ("https://bücher.example/", "must be plain ASCII without spaces"),
        ("https://１２７.0.0.1/", "must be plain ASCII without spaces"),
        ("https://127。0。0。1/", "must be plain ASCII without spaces"),
        ("https://example.com\\@127.0.0.1/", "must be plain ASCII without spaces"),
        ("https://exam%70le.com/", "must have a host name of letters"),
        ("https://a..example.com/", "must have a host name of letters"),
        ("https://-a.example.com/", "must have a host name of letters"),
        (f"https://{'a' * 64}.example.com/", "must have a host name of letters"),
        ("https://[fe80::1%25eth0]/", "must have a plain IPv6 address"),
        ("https://[v1.x]/", "must have an IPv6 address in its brackets"),
        ("https://localhost/", "must have the name of a public host"),
        ("https://redis/", "must have the name of a public host"),
        ("https://metadata.google.internal/", "must have the name of a public host"),
        ("https://printer.local/", "must have the name of a public host"),
        ("https://127.0.0.1/", "must not lead to a private or reserved address"),
        ("https://[::1]/", "must not lead to a private or reserved address"),
        ("https://[::ffff:169.254.169.254]/", "must not lead to a private or reserved address"),
        ("https://169.254.169.254/latest", "must not lead to a private or reserved address"),
        ("https://2130706433/", "must write an IPv4 address as four decimal numbers"),
        ("https://0x7f000001/", "must write an IPv4 address as four decimal numbers"),
        ("https://017700000001/", "must write an IPv4 address as four decimal numbers"),
        ("https://0177.0.0.1/", "must write an IPv4 address as four decimal numbers"),
        ("https://0x7f.0.0.1/", "must write an IPv4 address as four decimal numbers"),
        ("https://0X7F.1/", "must write an IPv4 address as four decimal numbers"),
        ("https://127.1/", "must write an IPv4 address as four decimal numbers"),
        ("https://127.0.1/", "must write an IPv4 address as four decimal numbers"),
        ("https://127.0.0.1./", "must write an IPv4 address as four decimal numbers"),
        ("https://127.0.0.256/", "must write an IPv4 address as four decimal numbers"),
        ("https://example.com/" + "a" * 2_048, "must have at most 2048 characters"),
    ],
)
def test_other_urls_are_refused_with_a_reason(url: str, text: str) -> None:
    with pytest.raises(ForbiddenURL) as error:
        check_url(url, PRODUCTION)
    assert str(error.value).startswith(text)


def test_named_hosts_may_be_reached_by_http_on_any_port_and_on_loopback() -> None:
    for url in ("http://localhost:9000/", "http://LOCALHOST./", "http://127.0.0.1/x"):
        assert check_url(url, DEVELOPMENT).scheme == "http"
    assert check_url("https://localhost:8443/", DEVELOPMENT).port == 8443
    assert may_reach("localhost", "127.0.0.1", DEVELOPMENT)
    assert may_reach("localhost", "::1", DEVELOPMENT)
    assert may_reach("localhost", "1.1.1.1", DEVELOPMENT)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"])
def test_named_hosts_may_be_reached_on_no_other_private_address(address: str) -> None:
    assert not may_reach("localhost", address, DEVELOPMENT)


def test_named_hosts_allow_nothing_for_other_hosts() -> None:
    assert not may_reach("example.com", "127.0.0.1", DEVELOPMENT)
    for url in ("http://example.com/", "https://[::1]/", "https://127.0.0.2/"):
        with pytest.raises(ForbiddenURL):
            check_url(url, DEVELOPMENT)


def test_the_ports_are_a_setting() -> None:
    more = replace(PRODUCTION, webhook_ports=(443, 8443))
    assert check_url("https://example.com:8443/", more).port == 8443
    with pytest.raises(ForbiddenURL, match="must use one of the ports 443, 8443"):
        check_url("https://example.com:9443/", more)

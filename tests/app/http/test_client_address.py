from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.client_address import client_address, network_of, parse_networks

PROXIES = parse_networks(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),  # the peer is not a trusted proxy
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the client wrote the left one
        ("10.0.0.1", "6.6.6.6,198.51.100.1, 10.2.3.4 ,192.0.2.7", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.8", "10.0.0.9"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("fd00::1", "198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", "198.51.100.1", "fe80::1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_trusted_proxys(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == client


@pytest.mark.parametrize(
    "forwarded_for", [",", "unknown", "6.6.6.6, unknown", "1.2.3", "::g", "\0"]
)
def test_what_is_no_address_is_not_believed_and_nothing_left_of_it(forwarded_for: str) -> None:
    assert client_address("10.0.0.1", forwarded_for, PROXIES) == "10.0.0.1"
    assert client_address("10.0.0.1", f"{forwarded_for}, 10.0.0.2", PROXIES) == "10.0.0.2"


def test_without_trusted_proxies_the_header_is_not_looked_at() -> None:
    assert client_address("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"


def test_a_peer_without_an_address_is_passed_on_as_it_is() -> None:
    assert client_address("", "198.51.100.1", PROXIES) == ""


@given(st.text(max_size=60))
def test_any_header_leads_to_some_address(forwarded_for: str) -> None:
    assert client_address("10.0.0.1", forwarded_for, PROXIES)


def test_one_client_holds_a_whole_64_of_ipv6_and_one_address_of_ipv4() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("198.51.100.1") != network_of("198.51.100.2")
    assert network_of("") == ""

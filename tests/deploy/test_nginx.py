"""The example of a proxy agrees with the defaults of what it stands in front of."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from app.http.errors import BodyTooLarge, Unavailable
from tasks.config.settings import Settings

TEXT = (Path(__file__).parents[2] / "deploy/nginx/penstock.conf").read_text()
ACTIVE = "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in TEXT.splitlines())
DEFAULT: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Settings)}
UNITS = {"s": 1, "m": 60, "h": 3_600}


def values(directive: str, text: str = ACTIVE) -> list[str]:
    return re.findall(rf"^\s*{directive}\s+([^;]+);", text, re.MULTILINE)


def only(directive: str, text: str = ACTIVE) -> str:
    (value,) = values(directive, text)
    return value


def seconds(value: str) -> int:
    return int(value[:-1]) * UNITS[value[-1]]


def block(head: str) -> str:
    """What stands in the braces of an outermost block or a location without blocks inside."""
    found = re.search(rf"{re.escape(head)} \{{(.*?)^\s*\}}", ACTIVE, re.MULTILINE | re.DOTALL)
    assert found, head
    return found[1]


def test_braces_match_and_every_line_ends() -> None:
    assert ACTIVE.count("{") == ACTIVE.count("}")
    statements = [line.strip() for line in ACTIVE.splitlines() if line.strip()]
    assert [line for line in statements if line[-1] not in ";{}"] == []


def test_it_leads_to_the_default_port_on_loopback() -> None:
    assert values("server", block("upstream penstock"))[0].split()[0] == (
        f"{DEFAULT['host']}:{DEFAULT['port']}"
    )
    assert set(values("proxy_pass")) == {"http://penstock"}


def test_bodies_may_be_as_large_as_ours() -> None:
    assert only("client_max_body_size") == str(DEFAULT["max_upload_bytes"])
    assert f"at most {DEFAULT['max_upload_bytes']} bytes" in ACTIVE


def test_a_long_poll_ends_here_before_it_ends_at_the_proxy() -> None:
    assert DEFAULT["max_wait_s"] < min(map(seconds, values("proxy_read_timeout")))


def test_the_proxy_closes_an_idle_connection_to_us_before_we_do() -> None:
    timeout = only("keepalive_timeout", block("upstream penstock"))
    assert seconds(timeout) < DEFAULT["header_timeout_s"]
    assert only("proxy_set_header Connection") == '""'


def test_streams_are_not_held_back() -> None:
    head = "location ~ ^/v1/jobs/[^/]+/(events|results)$"
    pattern = re.compile(head.removeprefix("location ~ "))
    assert pattern.match("/v1/jobs/job_1/events")
    assert pattern.match("/v1/jobs/job_1/results")
    assert not pattern.match("/v1/jobs/job_1")
    assert only("proxy_buffering", block(head)) == "off"


def test_a_client_cannot_choose_the_address_it_is_known_by() -> None:
    assert only("proxy_set_header X-Forwarded-For") == "$remote_addr"


def test_only_tls_of_today_is_served_and_says_so_for_long() -> None:
    assert only("ssl_protocols") == "TLSv1.2 TLSv1.3"
    assert "Strict-Transport-Security" in only("add_header")
    assert only("return", block("server")) == "403", "nothing is served in the clear"


def test_client_certificates_are_there_to_be_uncommented() -> None:
    assert values("ssl_verify_client") == []
    uncommented = TEXT.replace("    #ssl_", "    ssl_")
    assert only("ssl_verify_client", uncommented) == "on"
    assert only("ssl_client_certificate", uncommented)


def test_what_the_proxy_refuses_is_a_problem_document() -> None:
    problems = {}
    for status, text in re.findall(r"return (\d+) '(.*)\\n';", ACTIVE):
        problem = json.loads(text)
        assert problem["status"] == int(status)
        assert problem["title"]
        assert problem["type"] == f"urn:penstock:error:{problem['code']}"
        problems[int(status)] = problem["code"]
    assert problems[413] == BodyTooLarge.code
    assert problems[503] == Unavailable.code

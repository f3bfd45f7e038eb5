"""Scrubber: neither secrets nor inputs reach Sentry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.config.settings import Settings
from tasks.telemetry.sentry.scrubber import LONGEST, WITHHELD, Scrubber, texts_of, without_inputs

SETTINGS = Settings(
    redis_password="redis-password-1234",
    api_key="operators-key-1234",
    key_pepper="pepper-pepper-1234",
    webhook_key="webhook-key-123456",
    sentry_dsn="https://public:dsn-secret-1@sentry.example/1",
)


def scrubbed(event: dict[str, Any], inputs: list[str] | None = None) -> dict[str, Any]:
    return Scrubber(SETTINGS).event(event, inputs)


@pytest.mark.parametrize(
    ("text", "inputs", "left"),
    [
        ("the list index is out of range", ["hello"], "the list index is out of range"),
        (
            "cannot parse Rosewood Lane 12345",
            ["12345 rosewood lane"],
            "cannot parse" + " [input]" * 3,
        ),
        ("no token ROSEWOOD", ["Ｒｏｓｅｗｏｏｄ"], "no token [input]"),
        ("no piece osewoo", ["rosewood"], "no piece [input]"),
        ("no word 字", ["字"], "no word [input]"),
        ("'kl\\xf3' is no word", [], "'[input]' is no word"),
        ('b"bytes" or `code`', [], "'[input]' or '[input]'"),
        ("it doesn't fit, isn't it", [], "it doesn't fit, isn't it"),
        ("it begins 'and does not end", [], "it begins '[input]'"),
        ("ok at 7", ["at 7 ok"], "ok at 7"),
    ],
)
def test_inputs_are_removed_from_a_text(text: str, inputs: list[str], left: str) -> None:
    assert without_inputs(text, inputs) == left


def test_a_text_is_cut() -> None:
    assert len(without_inputs("x " * LONGEST, [])) == LONGEST


def test_all_strings_and_numbers_of_a_json_value_are_found() -> None:
    value = {"text": "a", "more": [1, {"name": None, "deep": ["b", True, 2.5]}]}
    assert list(texts_of(value)) == ["text", "a", "more", "1", "name", "deep", "b", "2.5"]


def test_an_errors_text_is_withheld_if_the_inputs_are_not_known() -> None:
    errors = {"values": [{"type": "ValueError", "value": "Rosewood"}, {"type": "KeyError"}]}
    values = scrubbed({"exception": errors})["exception"]["values"]
    assert values == [{"type": "ValueError", "value": WITHHELD}, {"type": "KeyError"}]


@pytest.mark.parametrize(
    "secret",
    [
        SETTINGS.redis_password,
        SETTINGS.api_key,
        SETTINGS.key_pepper,
        SETTINGS.webhook_key,
        "dsn-secret-1",
        "Bearer abcdefgh",
        "psk_0123456789ab_" + "x" * 49,
        "whsec_QUJDREVGR0g=",
        "user:hidden@",
    ],
)
def test_secrets_are_found_wherever_they_stand(secret: str) -> None:
    text = f"a redis://{secret}" if secret.endswith("@") else f"a {secret} b"
    event = {
        "extra": {"deep": [{"er": text}]},
        "breadcrumbs": {"values": [{"message": text}]},
        "exception": {"values": [{"type": "E", "value": text}]},
    }
    said = str(scrubbed(event, []))
    assert secret.removesuffix("@") not in said
    assert said.count("[secret]") == 3


def test_members_with_names_of_secrets_are_emptied() -> None:
    event = {"extra": {"Authorization": "x", "api_key": "y", "inputs": [1], "password": {"a": 1}}}
    assert set(scrubbed(event)["extra"].values()) == {"[secret]"}


def test_only_harmless_parts_of_a_request_are_kept() -> None:
    request = {
        "method": "POST",
        "url": "http://127.0.0.1/v1/jobs",
        "query_string": "who=Rosewood",
        "data": {"input": "Rosewood"},
        "cookies": {"a": "Rosewood"},
        "headers": {"Authorization": "x", "X-Forwarded-For": "1.2.3.4", "User-Agent": "curl"},
    }
    event = {"request": request, "user": {"ip_address": "1.2.3.4"}, "modules": {}}
    assert scrubbed(event) == {
        "request": {
            "method": "POST",
            "url": "http://127.0.0.1/v1/jobs",
            "headers": {"User-Agent": "curl"},
        }
    }


def test_a_dsn_without_a_secret_hides_nothing_else() -> None:
    settings = replace(SETTINGS, sentry_dsn="https://public@sentry.example/1")
    assert Scrubber(settings).text("public secret") == "public secret"

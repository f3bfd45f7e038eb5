"""An instance of `make up` is for development: what it sets that nobody has set."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.instance import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("chosen", "hosts"),
    [
        ({}, ("localhost", "127.0.0.1")),
        ({"PENSTOCK_WEBHOOK_HTTP_HOSTS": ""}, ()),
        ({"PENSTOCK_WEBHOOK_HTTP_HOSTS": "mine.example"}, ("mine.example",)),
    ],
)
def test_webhooks_may_go_to_this_machine_unless_somebody_says_otherwise(
    tmp_path: Path, chosen: dict[str, str], hosts: tuple[str, ...]
) -> None:
    instance = load(ROOT, {"PENSTOCK_VAR": str(tmp_path), **chosen})
    assert instance.settings.webhook_http_hosts == hosts
    kept = chosen.get("PENSTOCK_WEBHOOK_HTTP_HOSTS", ",".join(hosts))
    assert instance.env["PENSTOCK_WEBHOOK_HTTP_HOSTS"] == kept


def test_the_key_of_webhooks_is_kept_with_the_others(tmp_path: Path) -> None:
    instance = load(ROOT, {"PENSTOCK_VAR": str(tmp_path)})
    assert instance.kept["PENSTOCK_WEBHOOK_KEY"] == instance.settings.webhook_key
    assert instance.settings.webhook_secret == instance.kept["WEBHOOK_SECRET"]

"""An instance of `make up` is for development: what it sets that nobody has set."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy.local.instance import Instance, load
from tests.ports import free_ports

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


def metrics_ports(instance: Instance) -> list[int]:
    found = [a.port for a in instance.addresses if a.variable == "PENSTOCK_METRICS_PORT"]
    assert instance.env["PENSTOCK_METRICS_PORT"] == str(found[0] if found else 0)
    return found


def test_the_ports_of_the_workers_metrics_are_those_that_somebody_chose(tmp_path: Path) -> None:
    port = free_ports(3)
    env = {"PENSTOCK_VAR": str(tmp_path), "PENSTOCK_METRICS_PORT": str(port)}
    assert metrics_ports(load(ROOT, env)) == [port, port + 1, port + 2]
    assert metrics_ports(load(ROOT, env | {"PENSTOCK_METRICS_PORT": "0"})) == []


def test_without_a_choice_they_are_free_ones(tmp_path: Path) -> None:
    env = {"PENSTOCK_VAR": str(tmp_path)}
    (first, *_) = metrics_ports(load(ROOT, env))
    with socket.create_server(("127.0.0.1", first + 2)):
        (second, *others) = metrics_ports(load(ROOT, env))
    assert second > first
    assert others == [second + 1, second + 2]


def test_what_processes_count_is_kept_in_its_folder(tmp_path: Path) -> None:
    instance = load(ROOT, {"PENSTOCK_VAR": str(tmp_path)})
    assert instance.env["PENSTOCK_METRICS_DIR"] == str(tmp_path / "metrics")

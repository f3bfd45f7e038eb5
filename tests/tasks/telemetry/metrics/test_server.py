"""The HTTP server of a worker's metrics, which requires the operator's key."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.core import GaugeMetricFamily
from structlog.testing import capture_logs

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.telemetry.metrics import server as metrics_server
from tasks.telemetry.metrics.server import MetricsServer, port_of
from tests.conftest import API_KEY
from tests.ports import free_port

KEY = {"Authorization": f"Bearer {API_KEY}"}


class Seen:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("seen", "What was seen.", value=7)


@contextmanager
def served(settings: Settings) -> Iterator[MetricsServer]:
    server = MetricsServer(Seen(), settings, Lane.GPU)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.join(30)
        assert not server.is_alive()


@pytest.fixture
def here(settings: Settings) -> Settings:
    return dataclasses.replace(settings, metrics_port=free_port())


def get(settings: Settings, path: str = "/metrics", **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{settings.metrics_port}{path}", headers=headers)


def test_only_the_operators_key_opens_the_metrics(here: Settings) -> None:
    with served(here) as server:
        assert server.ready.wait(30)
        answer = get(here, **KEY)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "seen 7.0" in answer.text
        wrong: list[dict[str, str]] = [
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {API_KEY}"},
        ]
        for headers in wrong:
            refused = get(here, **headers)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == 'Bearer realm="penstock"'
            assert "seen" not in refused.text
        assert get(here, "/", **KEY).status_code == 404


def test_a_taken_port_is_logged_and_used_once_it_is_free(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "RETRY_S", 0.01)
    taken = socket.create_server(("127.0.0.1", here.metrics_port))
    with capture_logs() as logs, taken, served(here) as server:
        while not logs:
            assert not server.ready.wait(0.01)
        taken.close()
        assert server.ready.wait(30)
        assert get(here, **KEY).status_code == 200
    (line,) = logs
    assert "PENSTOCK_METRICS_PORT" in line["event"]
    assert (line["port"], line["lane"]) == (here.metrics_port, Lane.GPU)


def test_a_child_that_outlives_its_parent_does_not_keep_the_port(here: Settings) -> None:
    read, write = os.pipe()
    with served(here) as server:
        assert server.ready.wait(30)
        if (child := os.fork()) == 0:
            os.read(read, 1)
            os._exit(0)
    try:
        with served(here) as server:
            assert server.ready.wait(4)  # sooner than a second try
    finally:
        os.write(write, b".")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_each_lane_has_a_port_and_zero_is_none(settings: Settings) -> None:
    assert [port_of(settings, lane) for lane in (Lane.GPU, Lane.CPU, Lane.WEBHOOKS)] == [
        *(9410, 9411, 9412)
    ]
    assert port_of(dataclasses.replace(settings, metrics_port=0), Lane.CPU) == 0

"""HTTP server for a worker's Prometheus metrics, in its parent process, for all its children.

It requires the operator's key (PENSTOCK_API_KEY), whatever address it listens on.
"""

from __future__ import annotations

import hmac
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

RETRY_S: Final = 5.0
CLIENT_TIMEOUT_S: Final = 10.0  # a client that sends and reads nothing for so long is disconnected

OFFSETS: Final = {Lane.GPU: 0, Lane.CPU: 1, Lane.WEBHOOKS: 2}


def port_of(settings: Settings, lane: Lane) -> int:
    """Port of the lane's metrics; 0: they are not served."""
    return settings.metrics_port + OFFSETS[lane] if settings.metrics_port else 0


class MetricsServer(threading.Thread):
    """Serves until the process ends. If the port is taken, that is logged and tried again."""

    def __init__(self, collector: Collector, settings: Settings, lane: Lane) -> None:
        super().__init__(name="metrics", daemon=True)
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._settings = settings
        self._lane = lane
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self.ready = threading.Event()

    def run(self) -> None:
        logged = False
        while not self._stopping.is_set():
            try:
                self._server = self._listen()
            except OSError as error:
                if not logged:
                    self._log_taken_port(error)
                logged = True
                self._stopping.wait(RETRY_S)
                continue
            with self._server as server:
                self.ready.set()
                server.serve_forever()

    def stop(self) -> None:
        self._stopping.set()
        if self._server and self.ready.is_set():
            self._server.shutdown()

    def _listen(self) -> _Server:
        host = self._settings.host
        server = _Server(host, port_of(self._settings, self._lane))
        server.registry, server.key = self._registry, self._settings.api_key
        # A child that outlives its parent must not keep the port of the next parent.
        os.register_at_fork(after_in_child=server.socket.close)
        return server

    def _log_taken_port(self, error: OSError) -> None:
        port = port_of(self._settings, self._lane)
        log.error(
            "metrics are not served: their port is taken; set PENSTOCK_METRICS_PORT",
            port=port,
            host=self._settings.host,
            lane=self._lane,
            error=error.strerror or str(error),
        )


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    registry: CollectorRegistry
    key: str

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.info("metrics client disconnected", client=str(client_address))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    timeout = CLIENT_TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        if not self._is_authorized():
            return self._respond(401, b"Send the key of PENSTOCK_API_KEY as a bearer token.\n")
        if self.path.partition("?")[0] != "/metrics":
            return self._respond(404, b"Not found: only /metrics is served here.\n")
        return self._respond(200, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged of a scrape."""

    def _is_authorized(self) -> bool:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else ""
        return hmac.compare_digest(given.encode(), self.server.key.encode())

    def _respond(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="penstock"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

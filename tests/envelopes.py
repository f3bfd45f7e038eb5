"""A receiver of Sentry envelopes on this machine: keeps all that comes, and takes events out of it.

Protocol: https://develop.sentry.dev/sdk/data-model/envelopes/
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import sentry_sdk

from tasks.config.settings import Settings
from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.throttle import Throttle

PUBLIC = "public"
SECRET = "dsn-secret-0123456789"


class Envelopes:
    """`with Envelopes() as sentry:` listens on a free port."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.paths: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def dsn(self) -> str:
        return f"http://{PUBLIC}:{SECRET}@127.0.0.1:{self._server.server_port}/1"

    def __enter__(self) -> Envelopes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for raw in list(self.raw) for event in events_of(raw)]

    def of(self, failure: str, **tags: str) -> list[dict[str, Any]]:
        """Events of one kind of failure that have these tags."""
        wanted = {"failure": failure} | tags
        return [event for event in self.events if wanted.items() <= event["tags"].items()]

    def assert_silent_about(self, *words: str) -> None:
        """Neither as it is nor as JSON writes it does any word occur in what came."""
        everything = b"\n".join(self.raw)
        for word in words:
            for form in (word.encode(), json.dumps(word)[1:-1].encode()):
                assert form not in everything, word

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.paths.add(self.path)
                receiver.raw.append(body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        return Handler


def events_of(envelope: bytes) -> list[dict[str, Any]]:
    """The items of type event. An item: a line of headers, then its payload of the length there."""
    _, _, rest = envelope.partition(b"\n")
    found = []
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        item = json.loads(head)
        length = item.get("length", rest.find(b"\n") if b"\n" in rest else len(rest))
        payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        if item["type"] == "event":
            found.append(json.loads(payload))
    return found


@contextmanager
def forgotten() -> Iterator[None]:
    """Nothing has been told when it begins, and no client is left when it ends."""
    before, sentry._throttle = sentry._throttle, Throttle()
    try:
        yield
    finally:
        sentry._throttle = before
        sentry_sdk.get_client().close(timeout=0.1)
        for scope in (sentry_sdk.get_global_scope(), sentry_sdk.get_isolation_scope()):
            scope.clear()
        sentry_sdk.get_global_scope().set_client(None)


@contextmanager
def installed(settings: Settings) -> Iterator[Envelopes]:
    """This process's errors go to a receiver meanwhile."""
    with forgotten(), Envelopes() as receiver:
        sentry.install(replace(settings, sentry_dsn=receiver.dsn), "test", lane="gpu")
        yield receiver


def arrived(receiver: Envelopes) -> list[dict[str, Any]]:
    """All events that this process has captured by now."""
    sentry_sdk.flush(30)
    return receiver.events

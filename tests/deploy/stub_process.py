"""Stand-ins for Penstock's processes: `python stub_process.py web|never-ready|flower|...`.

They read the same environment as the real ones, and keep one promise each that the runner's tests
look at. Each appends what happens to it to `$PENSTOCK_VAR/events`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

OUTPUT = {
    "label": "block",
    "action": "review",
    "confidence": 0.875,
    "tier": "stub",
    "model_version": "v-stub",
    "degraded": False,
    "reason": None,
}


def note(event: str) -> None:
    """Append a line to the events; one short write is atomic."""
    with (Path(os.environ["PENSTOCK_VAR"]) / "events").open("a") as events:
        events.write(event + "\n")


def say(line: str) -> None:
    """Write a line to the log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Web(BaseHTTPRequestHandler):
    """Answers the runner's requests, and nobody without the key."""

    ready = True

    def do_GET(self) -> None:
        known = {"/readyz": 200 if self.ready else 503, "/healthcheck": 200}
        status = "ready" if self.ready else "unready"
        self._answer(known.get(self.path, 404), {"status": status})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = f"Bearer {os.environ['PENSTOCK_API_KEY']}"
        assert self.path == "/v1/jobs"
        assert self.headers["Authorization"] == key
        assert self.headers["Prefer"].startswith("wait=")
        note(f"text {body['input']['text']}")
        if "webhook" in body:
            note(f"webhook {body['webhook']['url']}")
        self._answer(200, {"id": "job_1", "status": "succeeded", "output": OUTPUT})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class NeverReady(Web):
    """A web process that something is missing for."""

    ready = False


def serve(handler: type[Web], port: str) -> None:
    """Serve until SIGTERM."""
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ[port])), handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    say("stub serves")
    server.serve_forever(poll_interval=0.05)


def work() -> NoReturn:
    """Like a Celery parent: a pool child that must not get the SIGTERM that its parent gets."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        note(f"child got {signal.sigwait({signal.SIGTERM})!r}")
        os._exit(1)
    note("parent started")
    say("stub works")
    signal.sigwait({signal.SIGTERM})
    note("parent got SIGTERM")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    sys.exit(0)


if __name__ == "__main__":
    match sys.argv[1]:
        case "web":
            serve(Web, "PENSTOCK_PORT")
        case "never-ready":
            serve(NeverReady, "PENSTOCK_PORT")
        case "flower":
            serve(Web, "FLOWER_PORT")
        case "worker":
            work()
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            note("will not stop")
            while True:
                signal.pause()
        case "fails":
            sys.exit("the model is missing")

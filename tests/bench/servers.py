"""Tiny servers for the load generator: one answers scripted bytes, one plays a job API."""

from __future__ import annotations

import itertools
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Answer = Callable[[str, bytes], bytes | None]  # (request line, body) -> response; None: hang up


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, int]]:
    """Serve `answer` on a free port of 127.0.0.1, a thread per keep-alive connection."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (request := _read_request(self.rfile)) is not None:
                response = answer(*request)
                if response is None:
                    return
                self.wfile.write(response)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = False
        block_on_close = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield ("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _read_request(stream: Any) -> tuple[str, bytes] | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    length = 0
    while (header := stream.readline().decode().strip()) != "":
        if found := re.match(r"content-length: (\d+)", header, re.IGNORECASE):
            length = int(found[1])
    return line, stream.read(length)


def response(document: Any, status: int = 200) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 %d Any\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


class JobApi:
    """A job API whose jobs end at the `reads`-th look at them; a wait counts as the last look."""

    def __init__(self, reads: int = 2, ending: str = "succeeded") -> None:
        self._left: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._numbers = itertools.count()
        self._reads = reads
        self._ending = ending
        self.texts: list[str] = []

    def __call__(self, line: str, body: bytes) -> bytes:
        method, path, _ = line.split(" ")
        if method == "POST":
            return self._submit(json.loads(body))
        found = re.match(r"/v1/jobs/(\w+)(/results)?(\?wait=30)?", path)
        assert found is not None, path
        if found[2]:
            return chunked(*self._results(found[1]))
        self._left[found[1]] = 0 if found[3] else self._left[found[1]] - 1
        return response(self._show(found[1]))

    def _submit(self, job: dict[str, Any]) -> bytes:
        inputs = job["inputs"] if "inputs" in job else [job["input"]]
        self.texts += [item["text"] for item in inputs]
        job_id = f"job{next(self._numbers)}"
        self._left[job_id], self._items[job_id] = self._reads, len(inputs)
        return response(self._show(job_id), 202)

    def _show(self, job_id: str) -> dict[str, Any]:
        ended = self._left[job_id] <= 0
        status = self._ending if ended else "running"
        return {"id": job_id, "status": status, "output": {"label": "allow"} if ended else None}

    def _results(self, job_id: str) -> list[bytes]:
        line = {"status": "succeeded", "output": {"label": "allow"}, "error": None}
        return [
            json.dumps({"index": i, **line}).encode() + b"\n" for i in range(self._items[job_id])
        ]

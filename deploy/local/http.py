"""A minimal HTTP client for the API on this machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from deploy.local.ports import Address


class Answer(NamedTuple):
    """An answer of the API; status 0: there was none, and the body says why."""

    status: int
    text: str

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body; an empty one if the body is something else."""
        try:
            body = json.loads(self.text)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


def ask(
    address: Address,
    path: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 5,
) -> Answer:
    """GET `path`, or POST `body` to it as JSON."""
    # http.client, unlike urllib, takes no proxy from the environment.
    connection = http.client.HTTPConnection(address.reachable_host, address.port, timeout=timeout_s)
    method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
    sent = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
    try:
        connection.request(method, path, body=content, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, str(error) or type(error).__name__)
    finally:
        connection.close()

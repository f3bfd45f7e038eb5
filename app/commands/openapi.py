"""Print the document of an installation as it comes: `make openapi` checks it in."""

from __future__ import annotations

import sys
from typing import Any

from app.factory import create_app
from app.openapi.document import document, to_text
from tasks.config.settings import Settings

UNUSED = "not-connected-to"  # nothing is asked of Redis, and nobody asks for a key


def as_it_comes() -> bytes:
    """What the environment says has no say here, so that every machine prints the same."""
    names = ("redis_password", "api_key", "key_pepper", "webhook_key")
    secrets: dict[str, Any] = dict.fromkeys(names, UNUSED)
    return to_text(document(create_app(Settings(**secrets))))


if __name__ == "__main__":
    sys.stdout.buffer.write(as_it_comes())

"""Prints the OpenAPI document of a default installation: `make openapi` writes it to docs/."""

from __future__ import annotations

import sys
from typing import Any

from app.factory import create_app
from app.openapi.document import document, to_text
from tasks.config.settings import Settings

UNUSED = "not-connected-to"  # neither Redis nor a key is used here


def render_default_document() -> bytes:
    """Render the document. The environment is ignored, so every machine prints the same."""
    names = ("redis_password", "api_key", "key_pepper", "webhook_key")
    secrets: dict[str, Any] = dict.fromkeys(names, UNUSED)
    return to_text(document(create_app(Settings(**secrets))))


if __name__ == "__main__":
    sys.stdout.buffer.write(render_default_document())

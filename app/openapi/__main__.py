"""Print the document of an installation as it comes: `make openapi` checks it in."""

from __future__ import annotations

import sys

from app import create_app
from app.openapi.document import document, to_text
from tasks.settings import Settings

UNUSED = "not-connected-to"  # nothing is asked of Redis, and nobody asks for a key


def as_it_comes() -> bytes:
    """What the environment says has no say here, so that every machine prints the same."""
    return to_text(
        document(create_app(Settings(redis_password=UNUSED, api_key=UNUSED, key_pepper=UNUSED)))
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(as_it_comes())

"""Signs webhooks as https://www.standardwebhooks.com says, with the symmetric scheme v1.

`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over "id.timestamp.body", once for each
secret that signs, separated by spaces; a receiver accepts any of them.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from functools import lru_cache


def signed_headers(
    delivery_id: str, timestamp: int, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The three signature headers of an attempt. timestamp: of the attempt, seconds since 1970."""
    content = b"%s.%d.%s" % (delivery_id.encode(), timestamp, body)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    digest = hmac.digest(_key(secret), content, "sha256")
    return "v1," + base64.b64encode(digest).decode()


@lru_cache(1024)
def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))

"""Example of a webhook receiver: verifies each webhook and prints it.

`make up WEBHOOK_DEMO=1` starts it. WEBHOOK_SECRET signs the webhooks of the operator's jobs; an
endpoint has a secret of its own.
"""

from __future__ import annotations

import os

from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

app = Flask("webhook_receiver")
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()  # a real receiver stores them together with the effects of the webhook


@app.post("/")
def receive() -> tuple[str, int]:
    try:
        event = webhook.verify(request.get_data(), dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        print(f"refused: {error}", flush=True)
        return "not signed by Penstock", 401
    if request.headers["webhook-id"] not in seen:  # it may come again
        seen.add(request.headers["webhook-id"])
        print(f"received {event['type']}: {event['data'].get('output')}", flush=True)
    return "", 204


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("WEBHOOK_DEMO_PORT") or 8099))

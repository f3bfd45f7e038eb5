"""Baseline for webhooks: one Celery task for each, which calls `requests.post`.

Signed with the reference library, acknowledged late, retried by Celery. It has no log of attempts,
no circuit breaker and no protection against SSRF.

    celery -A bench.baselines.celery_webhooks:app worker
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import requests
from celery import Celery
from standardwebhooks import Webhook

app = Celery("webhooks")
app.conf.update(
    broker_url=f"redis://{os.environ['REDIS_HOST']}:{os.environ['REDIS_PORT']}/0",
    broker_password=os.environ["REDIS_PASSWORD"],
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
)
signer = Webhook(os.environ["WEBHOOK_SECRET"])


@app.task(bind=True, name="deliver", autoretry_for=(requests.RequestException,), retry_backoff=5)
def deliver(_task: object, message_id: str, url: str, body: str) -> None:
    now = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(message_id, now, body),
    }
    answer = requests.post(
        url, data=body.encode(), headers=headers, timeout=15, allow_redirects=False
    )
    answer.raise_for_status()

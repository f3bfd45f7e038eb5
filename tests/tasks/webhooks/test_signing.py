"""Signatures agree with the verifier and the published vector of Standard Webhooks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tasks.webhooks.signing import signed_headers
from tasks.webhooks.signing_secrets import new_secret

BODY = '{"type":"job.succeeded","data":{"text":"Grüße, 世界"}}'.encode()


def signed(
    secret: str, *others: str, body: bytes = BODY, at: float | None = None
) -> dict[str, str]:
    return signed_headers("msg_01_job", int(at or time.time()), body, (secret, *others))


def test_the_published_vector_passes() -> None:
    # libraries/*/…test… of github.com/standard-webhooks/standard-webhooks, "sign function works".
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_signatures_equal_those_of_the_reference_library() -> None:
    secret, now = new_secret(), datetime.now(UTC)
    headers = signed(secret, at=now.timestamp())
    assert headers["webhook-signature"] == Webhook(secret).sign("msg_01_job", now, BODY.decode())


def test_an_unmodified_verifier_accepts_a_signature() -> None:
    secret = new_secret()
    assert Webhook(secret).verify(BODY, signed(secret))["type"] == "job.succeeded"


def test_after_a_rotation_both_secrets_verify() -> None:
    new, old = new_secret(), new_secret()
    headers = signed(new, old)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_replayed_webhook_is_rejected(seconds: int) -> None:
    secret = new_secret()
    with pytest.raises(WebhookVerificationError, match=r"too (old|new)"):
        Webhook(secret).verify(BODY, signed(secret, at=time.time() + seconds))


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_an_altered_webhook_or_a_wrong_key_is_rejected(changed: str) -> None:
    secret = new_secret()
    headers = signed(new_secret() if changed == "secret" else secret)
    if changed == "webhook-id":
        headers["webhook-id"] = "msg_02_job"
    if changed == "webhook-timestamp":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    body = BODY.replace(b"succeeded", b"failed") if changed == "body" else BODY
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(secret).verify(body, headers)

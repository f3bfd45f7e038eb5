"""Clients of many kinds for a while: what an operator's page is to show."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import Any

import httpx

from tests.stack import Stack

SENTENCES = (
    "Have a great day, everyone!",
    "I will find you and kill you",
    "you stupid idiot",
    "Thanks for the quick answer, that fixed my printer.",
    "Nobody wants your kind here",
    "Could you send me the slides of Tuesday's talk?",
    "This film is so bad it hurts, but I loved the music.",
    "Buy followers now, cheap and fast, click the link",
    "shut up and get lost",
    "The bus leaves at ten past seven from the market square.",
)
OWNERS = ("shop", "forum", "support")
ACCEPTED_OR_TOO_LATE = (200, 202, 503)  # a deadline that cannot be met is refused at once


def mixed_traffic(stack: Stack, seconds: float) -> None:
    """Single jobs, repeated ones, bulk jobs, and some that expire, of several owners."""
    keys = [_key(stack, owner) for owner in OWNERS]
    ends = time.monotonic() + seconds
    senders = [threading.Thread(target=_send, args=(stack, key, ends)) for key in keys]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def _key(stack: Stack, owner: str) -> str:
    return stack.flask("keys", "create", "--owner", owner)


def _send(stack: Stack, key: str, ends: float) -> None:
    chance = random.Random(key)  # noqa: S311
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60) as client:
        for number in itertools.count():
            answer = client.post("/v1/jobs", json=_body(number, chance))
            assert answer.status_code in ACCEPTED_OR_TOO_LATE, answer.text
            if time.monotonic() > ends:
                return
            time.sleep(0.05 + 0.1 * chance.random())


def _body(number: int, chance: random.Random) -> dict[str, Any]:
    text = chance.choice(SENTENCES)
    body: dict[str, Any] = {"pipeline": "moderation", "priority": chance.choice(("high", "normal"))}
    if number % 25 == 5:
        inputs = [{"text": f"{chance.choice(SENTENCES)} {n}"} for n in range(40)]
        return body | {"inputs": inputs, "priority": "low"}
    if number % 25 == 15:
        return body | {
            "inputs": [{"text": f"{text} {number} {n}"} for n in range(99)],
            "deadline_ms": 1,
        }
    return body | {"input": {"text": text if number % 2 else f"{text} ({number})"}}

"""The Lua scripts that change state in Redis, each one atomic operation."""

from __future__ import annotations

import hashlib
from pathlib import Path

LUA = Path(__file__).parents[1] / "lua"

SHARED = ("includes/prelude", "includes/series", "includes/units", "includes/finish")

Arg = str | int | bytes


class Script:
    """One atomic operation: its Lua file behind those that all share."""

    def __init__(self, name: str) -> None:
        self.text = "".join((LUA / f"{part}.lua").read_text() for part in (*SHARED, name))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


SUBMIT = Script("jobs/submit")
STAGE = Script("jobs/stage")
DISCARD = Script("jobs/discard")
CLAIM = Script("queue/claim")
RENEW = Script("queue/renew")
COMMIT = Script("queue/commit")
RELEASE = Script("queue/release")
CANCEL = Script("jobs/cancel")
SWEEP = Script("queue/sweep")
DEREGISTER = Script("queue/deregister")
READ_JOBS = Script("jobs/read")
LIST_JOBS = Script("jobs/list")
BREAKER_RECORD = Script("queue/breaker_record")
BREAKER_PROBE = Script("queue/breaker_probe")
RECORD_ATTEMPTS = Script("webhooks/record")
REDELIVER = Script("webhooks/redeliver")
READ_API_KEYS = Script("api_keys/read")
WRITE_API_KEYS = Script("api_keys/write")
PUT_ENDPOINT = Script("webhooks/put_endpoint")
LOAD_DELIVERIES = Script("webhooks/load")
ENQUEUE_DELIVERY = Script("webhooks/enqueue")
ADD_SAMPLES = Script("drift/add_samples")
SAVE_REPORT = Script("drift/save_report")
OLDEST_WAITING = Script("status/oldest_waiting")
SAVE_DECISION = Script("autoscaling/save_decision")

"""Examples of requests and responses; a test validates all of them."""

from __future__ import annotations

import json
from typing import Any

JOB_ID = "job_01KA9QG3C0Y4T5N8W2Z7R6M1XB"
BULK_ID = "job_01KA9QG3C7B2V9D4H6K8P0S3FT"
ENDPOINT_ID = "we_7PqYk2Lr9Xb4Vn0Tz8Wd"

_OUTPUT: dict[str, Any] = {
    "label": "allow",
    "action": "allow",
    "confidence": 0.98,
    "scores": {"allow": 0.98, "review": 0.015, "block": 0.005},
    "tier": "transformer",
    "model_version": "2026-11-02",
    "degraded": False,
    "reason": None,
}
SUCCEEDED: dict[str, Any] = {
    "id": JOB_ID,
    "pipeline": "moderation",
    "status": "succeeded",
    "created_at": "2026-11-18T09:30:00.000Z",
    "started_at": "2026-11-18T09:30:00.004Z",
    "finished_at": "2026-11-18T09:30:00.012Z",
    "queue_ms": 4.1,
    "run_ms": 7.9,
    "lane": "gpu",
    "attempts": 1,
    "cached": False,
    "progress": {"done": 1, "failed": 0, "total": 1},
    "output": _OUTPUT,
    "error": None,
    "metadata": {"ticket": "A-17"},
    "links": {"self": f"/v1/jobs/{JOB_ID}", "deliveries": f"/v1/jobs/{JOB_ID}/deliveries"},
}
QUEUED = SUCCEEDED | {
    "status": "queued",
    "started_at": None,
    "finished_at": None,
    "queue_ms": None,
    "run_ms": None,
    "attempts": 0,
    "progress": {"done": 0, "failed": 0, "total": 1},
    "output": None,
}
CANCELLED = QUEUED | {
    "status": "cancelled",
    "finished_at": "2026-11-18T09:30:00.002Z",
    "error": {"code": "cancelled", "message": "The job was cancelled before it finished."},
}
BULK_RUNNING = QUEUED | {
    "id": BULK_ID,
    "status": "running",
    "started_at": "2026-11-18T09:30:00.004Z",
    "queue_ms": 4.1,
    "attempts": 1,
    "progress": {"done": 64, "failed": 0, "total": 200},
    "links": {
        "self": f"/v1/jobs/{BULK_ID}",
        "deliveries": f"/v1/jobs/{BULK_ID}/deliveries",
        "results": f"/v1/jobs/{BULK_ID}/results",
    },
}
RESULT: dict[str, Any] = {"index": 0, "status": "succeeded", "output": _OUTPUT, "error": None}
ENDPOINT_REQUEST: dict[str, Any] = {
    "url": "https://example.com/hooks/penstock",
    "events": ["job.succeeded", "job.failed"],
    "description": "Moderation of comments",
}
ENDPOINT: dict[str, Any] = {
    "id": ENDPOINT_ID,
    **ENDPOINT_REQUEST,
    "enabled": True,
    "disabled_reason": None,
    "created_at": "2026-11-18T09:00:00.000Z",
    "links": {"self": f"/v1/webhook-endpoints/{ENDPOINT_ID}"},
}
DISABLED = ENDPOINT | {"enabled": False, "disabled_reason": "failing"}
SECRET = {"secret": "whsec_" + "A" * 43 + "="}
ROTATED = SECRET | {"old_secrets_expire_at": "2026-11-19T09:30:00.000Z"}
DELIVERY: dict[str, Any] = {
    "id": f"msg_{JOB_ID.removeprefix('job_')}_{ENDPOINT_ID}",
    "job_id": JOB_ID,
    "endpoint_id": ENDPOINT_ID,
    "event": "job.succeeded",
    "status": "queued",
    "created_at": "2026-11-18T09:30:00.012Z",
    "finished_at": None,
    "next_attempt_at": "2026-11-18T09:30:05.210Z",
    "attempts": [
        {
            "at": "2026-11-18T09:30:00.131Z",
            "status": 503,
            "error": "bad_status",
            "latency_ms": 86.4,
            "trigger": None,
        }
    ],
}
RETRIED = DELIVERY | {"next_attempt_at": None}
PINGED = RETRIED | {
    "id": f"msg_01KA9QG3CFD5W8X1Y4Z7A0B3C6_{ENDPOINT_ID}",
    "job_id": None,
    "event": "ping",
    "attempts": [],
}
PIPELINE: dict[str, Any] = {
    "name": "moderation",
    "version": "2026-11-02",
    "tiers": [
        {"name": "transformer", "timeout_ms": 2000.0, "breaker": "closed"},
        {"name": "rules", "timeout_ms": 2000.0, "breaker": "closed"},
    ],
    "input": {
        "type": "object",
        "required": ["text"],
        "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 5000}},
        "additionalProperties": False,
    },
    "example": {"text": "Have a great day, everyone!"},
}
READY: dict[str, Any] = {"status": "ready", "reasons": [], "workers": {"gpu": 1, "cpu": 1}}
DEGRADED: dict[str, Any] = {
    "status": "degraded",
    "reasons": ["no worker of the gpu lane is alive"],
    "workers": {"cpu": 1},
}
UNREADY: dict[str, Any] = {
    "status": "unready",
    "reasons": [
        "no worker of the gpu lane is alive",
        "no worker of the cpu lane is alive",
    ],
}
METRICS = """\
# HELP penstock_jobs_total Jobs that ended.
# TYPE penstock_jobs_total counter
penstock_jobs_total{status="succeeded"} 1017.0
"""


def problem(status: int, title: str, code: str) -> dict[str, Any]:
    """An example of RFC 9457 problem details for an error's status and code."""
    example: dict[str, Any] = {
        "type": f"urn:penstock:error:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": "Says what is wrong and what would be right.",
        "request_id": "0f5c1e7a9d3b4c6f8a2e1d0c9b8a7f6e",
    }
    if code == "invalid_request":
        pointer = {"pointer": "/input/text", "detail": "Must have 1 to 5,000 characters"}
        example["errors"] = [pointer]
    return example


def lines(*documents: dict[str, Any]) -> str:
    """The documents as newline-delimited JSON."""
    return "".join(json.dumps(document) + "\n" for document in documents)


EVENT = {
    "event": "progress",
    "id": "running-64-0",
    "data": '{"done": 64, "failed": 0, "total": 1000}',
}

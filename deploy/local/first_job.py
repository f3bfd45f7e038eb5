"""Checks that an instance works: submits one text for moderation and waits for the answer."""

from __future__ import annotations

import time
from typing import Any

from deploy.local.errors import RunnerError
from deploy.local.http import Answer, ask
from deploy.local.instance import Instance

TEXT = "Go back to your own country, we do not want your kind here."
MODERATION = "ml.moderation.pipeline:pipeline"

_TERMINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})


def run(instance: Instance, deadline: float) -> dict[str, Any]:
    """Submit `TEXT` for moderation and return the finished job.

    Args:
        instance: must be ready.
        deadline: when to give up, on `time.monotonic`'s clock.

    Raises:
        RunnerError: the job was refused or failed, or took longer.
    """
    answer = _submit(instance, deadline)
    while answer.status == 202 or (answer.status == 200 and not _finished(answer)):
        if time.monotonic() > deadline:
            raise RunnerError(f"The first job did not finish in time: {answer.text}")
        answer = _poll(instance, answer.json()["links"]["self"], deadline)
    job = answer.json()
    if answer.status != 200 or job["status"] != "succeeded":
        raise RunnerError(f"The first job did not succeed ({answer.status}): {answer.text}")
    return job


def describe(job: dict[str, Any]) -> str:
    """Return the moderation job's answer in words."""
    output = job["output"]
    facts = {
        "label": output["label"],
        "action": output["action"],
        "confidence": f"{output['confidence']:.2f}",
        "tier": output["tier"],
        "model version": output["model_version"],
    }
    if output.get("degraded"):
        facts["degraded"] = output["reason"]
    if job.get("cached"):
        facts["cached"] = "yes"
    return f'"{TEXT}"\n    ' + ", ".join(f"{name} {value}" for name, value in facts.items())


def _finished(answer: Answer) -> bool:
    return answer.json().get("status") in _TERMINAL


def _submit(instance: Instance, deadline: float) -> Answer:
    wait_s = _wait_s(instance, deadline)
    demo = instance.webhook_demo
    webhook = {"webhook": {"url": f"{demo.url}/"}} if demo else {}
    return ask(
        instance.web,
        "/v1/jobs",
        {"pipeline": "moderation", "input": {"text": TEXT, "user_id": "make-up"}, **webhook},
        {**_key(instance), "Prefer": f"wait={wait_s}"},
        timeout_s=wait_s + 10,
    )


def _poll(instance: Instance, path: str, deadline: float) -> Answer:
    wait_s = _wait_s(instance, deadline)
    return ask(instance.web, f"{path}?wait={wait_s}", headers=_key(instance), timeout_s=wait_s + 10)


def _wait_s(instance: Instance, deadline: float) -> int:
    left_s = max(1, int(deadline - time.monotonic()))
    return min(instance.settings.max_wait_s, left_s)


def _key(instance: Instance) -> dict[str, str]:
    return {"Authorization": f"Bearer {instance.settings.api_key}"}

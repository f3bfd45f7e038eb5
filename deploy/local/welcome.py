"""The text that `make up` prints once everything works."""

from __future__ import annotations

import time
from shlex import quote

from deploy.local import first_job
from deploy.local.http import ask
from deploy.local.instance import Instance
from deploy.local.options import make_down

_FLOWER_S = 20
"""Seconds to wait for Flower, whose state is printed but is not a condition of readiness."""


def welcome(instance: Instance, deadline: float) -> str:
    """Run a first job and return its answer and the addresses and paths of the instance.

    Raises:
        RunnerError: the first job did not succeed by the deadline.
    """
    lines = ["", "Penstock is up.", "", f"  {_first_answer(instance, deadline)}", ""]
    lines.append(f"  API     {instance.web.url}")
    if ask(instance.web, "/docs").status == 200:
        lines.append(f"  Docs    {instance.web.url}/docs")
    lines.append(f"  Console {instance.web.url}/console, with Flower's user and password")
    flower = instance.flower.url if _flower_answers(instance) else "not answering: see its log"
    lines.append(f"  Flower  {flower}")
    if instance.webhook_demo:
        url = instance.webhook_demo.url
        lines.append(
            f"  Webhook {url}/ received the webhook of this job: see the log of webhook-demo"
        )
    lines.append(f"  Metrics {instance.web.url}/metrics{_metrics_of_workers(instance)}")
    keys = quote(str(instance.keys))
    lines.append(f"  Keys    {instance.keys} (in a shell: set -a; . {keys}; set +a)")
    lines.append(f"  Logs    {instance.logs}")
    lines.append(
        f"  Stop    {'' if instance.options.detach else 'Ctrl-C or '}{make_down(instance.var)}"
    )
    return "\n".join([*lines, ""])


def _first_answer(instance: Instance, deadline: float) -> str:
    if first_job.MODERATION not in instance.settings.pipelines:
        return "No first job: PENSTOCK_PIPELINES is without the moderation pipeline."
    return first_job.describe(first_job.run(instance, deadline))


def _metrics_of_workers(instance: Instance) -> str:
    ports = [str(address.port) for address in instance.metrics]
    return f", and of the workers on the ports {', '.join(ports)}" if ports else ""


def _flower_answers(instance: Instance) -> bool:
    deadline = time.monotonic() + _FLOWER_S
    while ask(instance.flower, "/healthcheck").status != 200:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True

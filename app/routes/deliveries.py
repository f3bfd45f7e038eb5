"""/v1/jobs/{id}/deliveries: the webhook deliveries of a job with their attempts, and retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g

from app.access_control.authentication import requires
from app.access_control.ownership import find_enabled_endpoint, find_own_job
from app.api_keys.principal import Scope
from app.http.errors import DeliveryNotFound
from app.http.responses import respond
from app.services import services
from tasks.jobs.lanes import Lane
from tasks.jobs.model import timestamp
from tasks.webhooks.deliveries import OF_JOB, Delivery, deliveries_of, read_delivery, redeliver

deliveries = Blueprint("deliveries", __name__, url_prefix="/v1/jobs/<job_id>/deliveries")


@deliveries.get("")
@requires(Scope.JOBS)
def index(job_id: str) -> Response:
    """The webhook deliveries of the job: one for each endpoint, with all its attempts."""
    owner = g.principal.owner
    found = [one for one in deliveries_of(services().store, job_id) if one.owner == owner]
    if not found:  # deliveries may be kept for longer than their job
        find_own_job(job_id)
    return respond({"deliveries": [delivery_view(one) for one in found]})


@deliveries.post("/<delivery_id>/retry")
@requires(Scope.JOBS)
def retry(job_id: str, delivery_id: str) -> Response:
    """Retry a delivery now, whether it has ended or is queued; a running one is not changed."""
    here, delivery = services(), find_own_delivery(delivery_id, job_id)
    if delivery.endpoint != OF_JOB:
        find_enabled_endpoint(delivery.endpoint)
    if not redeliver(here.store, delivery_id, g.principal.owner):
        raise DeliveryNotFound("The delivery has just expired.")
    here.waker.wake(Lane.WEBHOOKS, 1)
    return respond(delivery_view(find_own_delivery(delivery_id, job_id)), 202)


def find_own_delivery(delivery_id: str, job_id: str) -> Delivery:
    """Find the caller's delivery. job_id: its job; "" for a ping, which has none.

    Raises:
        DeliveryNotFound, JobNotFound, ResultExpired: the caller has no such delivery or job.
    """
    delivery = read_delivery(services().store, delivery_id)
    if delivery is None or (delivery.owner, delivery.job) != (g.principal.owner, job_id):
        if job_id:
            find_own_job(job_id)
        raise DeliveryNotFound("There is no such delivery.")
    return delivery


def delivery_view(delivery: Delivery) -> dict[str, Any]:
    """A delivery as its owner sees it; of the receiver's response only the status is shown."""
    due = delivery.next
    return {
        "id": delivery.id,
        "job_id": delivery.job or None,
        "endpoint_id": None if delivery.endpoint == OF_JOB else delivery.endpoint,
        "event": delivery.event,
        "status": delivery.status,
        "created_at": timestamp(delivery.created),
        "finished_at": timestamp(delivery.finished),
        "next_attempt_at": timestamp(due * 1000) if due else None,
        "attempts": [_attempt(entry) for entry in delivery.log],
    }


def _attempt(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at": entry.get("at"),
        "status": entry.get("status"),
        "error": entry.get("error"),
        "latency_ms": entry.get("ms"),
        "trigger": entry.get("trigger"),
    }

"""Jobs and webhook endpoints of the caller; another owner's answer 404, as unknown ones do."""

from __future__ import annotations

import re
import time

from flask import g
from ulid import ULID

from app.http.errors import EndpointDisabled, EndpointNotFound, JobNotFound, ResultExpired
from app.services import services
from tasks.jobs.model import Job
from tasks.jobs.read import read_job
from tasks.webhooks import endpoints
from tasks.webhooks.endpoints import Endpoint

_ID = re.compile(r"job_[0-7][0-9A-HJKMNP-TV-Z]{25}")


def find_own_job(job_id: str) -> Job:
    """Find the caller's job of that id.

    Raises:
        JobNotFound: the caller has no such job.
        ResultExpired: by the time in its id, the job is older than results are kept.
    """
    here = services()
    job = read_job(here.store, job_id)
    if job is None and _age_s(job_id) > here.settings.result_ttl_s:
        raise ResultExpired(f"Results are kept {here.settings.result_ttl_s} s; this has expired.")
    if job is None or job.spec.owner != g.principal.owner:
        raise JobNotFound("There is no such job.")
    return job


def require_endpoint(endpoint: Endpoint | None) -> Endpoint:
    """Return the endpoint if there is one.

    Raises:
        EndpointNotFound: there is none.
    """
    if endpoint is None:
        raise EndpointNotFound("There is no such webhook endpoint.")
    return endpoint


def find_own_endpoint(endpoint_id: str) -> Endpoint:
    """Find the caller's endpoint of that id, or raise `EndpointNotFound`."""
    return require_endpoint(endpoints.find(services().store, g.principal.owner, endpoint_id))


def find_enabled_endpoint(endpoint_id: str) -> Endpoint:
    """Find the caller's endpoint of that id; raise `EndpointDisabled` if it is disabled."""
    found = find_own_endpoint(endpoint_id)
    if not found.enabled:
        raise EndpointDisabled(
            f"The endpoint is disabled ({found.disabled_reason}), so nothing is sent to it. Enable "
            'it first: PATCH it with {"enabled": true}.'
        )
    return found


def _age_s(job_id: str) -> float:
    """Seconds since the id was created, from the time in the id; 0 if it is not an id of ours."""
    if not _ID.fullmatch(job_id):
        return 0.0
    return time.time() - ULID.from_str(job_id.removeprefix("job_")).timestamp

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
    """The job of that id.

    Raises:
        JobNotFound: the owner has none such.
        ResultExpired: by its id it is so old that it would be gone.
    """
    here = services()
    job = read_job(here.store, job_id)
    if job is None and _age_s(job_id) > here.settings.result_ttl_s:
        raise ResultExpired(f"Results are kept {here.settings.result_ttl_s} s; this one is gone.")
    if job is None or job.spec.owner != g.principal.owner:
        raise JobNotFound("There is no such job.")
    return job


def existing(endpoint: Endpoint | None) -> Endpoint:
    """What was found.

    Raises:
        EndpointNotFound: it was not.
    """
    if endpoint is None:
        raise EndpointNotFound("There is no such webhook endpoint.")
    return endpoint


def find_own_endpoint(endpoint_id: str) -> Endpoint:
    """The owner's endpoint of that id, or `EndpointNotFound`."""
    return existing(endpoints.find(services().store, g.principal.owner, endpoint_id))


def find_enabled_endpoint(endpoint_id: str) -> Endpoint:
    """Likewise, one that may be sent to; `EndpointDisabled` if it may not."""
    found = find_own_endpoint(endpoint_id)
    if not found.enabled:
        raise EndpointDisabled(
            f"The endpoint is disabled ({found.disabled_reason}), so nothing is sent to it. Enable "
            'it first: PATCH it with {"enabled": true}.'
        )
    return found


def _age_s(job_id: str) -> float:
    """Seconds since the id was made, which it tells itself; 0 for what is no id of ours."""
    if not _ID.fullmatch(job_id):
        return 0.0
    return time.time() - ULID.from_str(job_id.removeprefix("job_")).timestamp

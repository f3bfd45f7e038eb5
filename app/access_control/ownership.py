"""The jobs of whoever asks; all others look as if they did not exist."""

from __future__ import annotations

import re
import time

from flask import g
from ulid import ULID

from app.http.errors import JobNotFound, ResultExpired
from app.services import services
from tasks.jobs.model import Job
from tasks.jobs.read import read_job

_ID = re.compile(r"job_[0-7][0-9A-HJKMNP-TV-Z]{25}")


def own_job(job_id: str) -> Job:
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


def _age_s(job_id: str) -> float:
    """Seconds since the id was made, which it tells itself; 0 for what is no id of ours."""
    if not _ID.fullmatch(job_id):
        return 0.0
    return time.time() - ULID.from_str(job_id.removeprefix("job_")).timestamp

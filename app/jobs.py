"""/v1/jobs: submit, read, wait, cancel, results."""

from __future__ import annotations

import re
import time

from flask import Blueprint, Response, g, request
from ulid import ULID

from app.auth import requires
from app.bodies import read_json
from app.errors import (
    AlreadyFinished,
    BadRequest,
    JobNotFound,
    KeyInFlight,
    KeyReused,
    OverQuota,
    ResultExpired,
    Shedding,
)
from app.limits import spend
from app.principal import Scope
from app.request_ids import traceparent
from app.responses import respond, stream_lines
from app.schemas import JobRequest
from app.services import services
from app.waits import preferred_wait, query_wait
from ml.pipeline import Item, Options
from tasks import keys
from tasks.breakers import breaker_of
from tasks.cache import answer_key
from tasks.jobs import Job, Spec, Status
from tasks.lanes import Lane
from tasks.reads import read_job, read_results
from tasks.store import CANCEL
from tasks.submit import (
    Idempotency,
    IdempotencyMismatch,
    InFlight,
    Overloaded,
    QuotaExceeded,
    Submission,
    new_digest,
    new_job_id,
    submit,
)

jobs = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

POLL_AGAIN_S = "1"

_SHED = {
    "full": "The lane is full; nothing was accepted. Try again after Retry-After seconds.",
    "memory": "The job store is nearly full; nothing was accepted. Try again after Retry-After "
    "seconds.",
    "late": "At the rate the lane drains the deadline would pass before this job's turn; "
    "nothing was accepted. Try again after Retry-After seconds, or allow more time.",
}


@jobs.post("")
@requires(Scope.JOBS)
def create() -> Response:
    """Accept a job; with `Prefer: wait=N` hold the answer until it ends or N seconds pass."""
    here = services()
    body = read_json(request, here.settings.max_json_depth)
    submission = _submission(here.reader.read(body))
    spend(items=len(submission.inputs))
    wait_s = preferred_wait(here.settings.max_wait_s)
    if not wait_s:
        return _shown(_accept(submission, new_job_id()))
    job_id = new_job_id()
    with here.waiting.on(job_id) as waiter:
        job = _accept(submission, job_id)
        if job.id != job_id:  # a replay of an earlier request
            job = _ended_within(wait_s, job.id)
        elif not job.status.is_terminal:
            job = waiter.wait(wait_s) or job
    response = _shown(job)
    response.headers["Preference-Applied"] = f"wait={wait_s}"
    return response


@jobs.get("/<job_id>")
@requires(Scope.JOBS)
def show(job_id: str) -> Response:
    """The job as it stands; with `?wait=N` as it ends, if that is within N seconds."""
    wait_s = query_wait(services().settings.max_wait_s)
    job = _ended_within(wait_s, job_id) if wait_s else _own(job_id)
    return respond(job.view())


@jobs.post("/<job_id>/cancel")
@requires(Scope.JOBS)
def cancel(job_id: str) -> Response:
    """End a job that has not ended; cancelling twice is no error."""
    job = _own(job_id)
    store = services().store
    ttl_ms = store.settings.result_ttl_s * 1000
    before = store.run(CANCEL, [job.id, ttl_ms], [keys.job(job.id)])
    if before is not None and Status(before).is_terminal and before != Status.CANCELLED:
        raise AlreadyFinished(f"The job has ended already: it {before}.")
    return respond(_own(job_id).view())


@jobs.get("/<job_id>/results")
@requires(Scope.JOBS)
def results(job_id: str) -> Response:
    """A line per item in input order, also while the job runs."""
    return stream_lines(read_results(services().store, _own(job_id)))


def _submission(asked: JobRequest) -> Submission:
    pipeline = asked.pipeline
    first = Item(asked.inputs[0], Options(**asked.options))
    easy = not asked.bulk and pipeline.complexity(first) < pipeline.cpu_below
    return Submission(
        spec=Spec(
            pipeline=pipeline.name,
            owner=g.principal.owner,
            options=asked.options,
            metadata=asked.metadata,
            bulk=asked.bulk,
            unit_items=pipeline.batch_items if asked.bulk else 1,
            request_id=g.request_id,
            traceparent=traceparent(),
        ),
        inputs=asked.inputs,
        lane=Lane.CPU if easy else Lane.GPU,
        priority=asked.priority,
        batch_items=pipeline.batch_items,
        most_unfinished=g.principal.limits.unfinished_items,
        breaker=breaker_of(pipeline.name, pipeline.tiers[0].name),
        deadline_ms=asked.deadline_ms,
        idempotency=_idempotency(),
        cache_key=None if asked.bulk else answer_key(pipeline, first),
        cpu_may_serve=pipeline.cpu_may_serve(first.options),
    )


def _idempotency() -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        detail = "Must be 1 to 255 visible ASCII characters."
        raise BadRequest(
            "A header is not valid.", [{"header": "Idempotency-Key", "detail": detail}]
        )
    body = request.get_data()
    return Idempotency(new_digest(b"POST /v1/jobs", key.encode()), new_digest(body))


def _accept(submission: Submission, job_id: str) -> Job:
    here = services()
    try:
        receipt = submit(here.store, submission, job_id)
    except IdempotencyMismatch:
        raise KeyReused("This Idempotency-Key was used with another body.") from None
    except InFlight:
        raise KeyInFlight("An upload with this Idempotency-Key is under way.") from None
    except QuotaExceeded as error:
        raise OverQuota(
            f"This key may have {error.most} unfinished items and has {error.unfinished}; nothing "
            "was accepted. Try again after Retry-After seconds, or send fewer at once.",
            error.retry_after_s,
        ) from None
    except Overloaded as error:
        raise Shedding(_SHED[error.reason], error.retry_after_s) from None
    if receipt.wake_ups:
        here.waker.wake(receipt.lane, receipt.wake_ups)
    return receipt.job or _own(receipt.job_id)


def _ended_within(seconds: int, job_id: str) -> Job:
    """The job as soon as it has ended, or as it stands when the time is up."""
    with services().waiting.on(job_id) as waiter:
        job = _own(job_id)
        if job.status.is_terminal:
            return job
        return waiter.wait(seconds) or _own(job_id)


def _own(job_id: str) -> Job:
    """The owner's job; another owner's looks as if it did not exist."""
    here = services()
    job = read_job(here.store, job_id)
    if job is None and _age_s(job_id) > here.settings.result_ttl_s:
        raise ResultExpired(f"Results are kept {here.settings.result_ttl_s} s; this one is gone.")
    if job is None or job.spec.owner != g.principal.owner:
        raise JobNotFound("There is no such job.")
    return job


def _age_s(job_id: str) -> float:
    """Seconds since the id was made, which it tells itself; 0 for what is no id of ours."""
    try:
        return time.time() - ULID.from_str(job_id.removeprefix("job_")).timestamp
    except ValueError:
        return 0.0


def _shown(job: Job) -> Response:
    """200 with an ended job, else 202 and where to look for it."""
    response = respond(job.view(), 200 if job.status.is_terminal else 202)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    if not job.status.is_terminal:
        response.headers["Retry-After"] = POLL_AGAIN_S
    return response

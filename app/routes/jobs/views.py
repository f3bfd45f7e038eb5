"""/v1/jobs: handlers to submit, read, wait for, follow, list and cancel jobs, and for results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, request

from app.access_control.authentication import requires
from app.access_control.ownership import find_own_job
from app.access_control.rate_limits import spend
from app.api_keys.principal import Scope
from app.http.errors import AlreadyFinished, Shedding
from app.http.ndjson import MEDIA_TYPE
from app.http.query_params import refuse_parameters, takes
from app.http.request_body import check_coding, read_json
from app.http.responses import make_conditional, respond, stream_lines
from app.http.wait_preference import preferred_wait, query_wait
from app.middleware.request_metrics import exclude_wait
from app.routes.jobs.listing import show_page
from app.routes.jobs.refusals import translate_submit_errors
from app.routes.jobs.submission import build_submission, check_quota, idempotency_key
from app.routes.jobs.upload import UploadBody, receive_upload
from app.schemas.list_query import PARAMETERS
from app.schemas.upload_query import PARAMETERS as UPLOAD_PARAMETERS
from app.schemas.upload_query import OnError, read_query
from app.services import services
from tasks.jobs.cancel import cancel_job
from tasks.jobs.finished import FinishedJob
from tasks.jobs.hashing import digest_of
from tasks.jobs.model import Job, Status
from tasks.jobs.read import read_results
from tasks.jobs.staged_upload import StagedUpload
from tasks.jobs.submit import Idempotency, Submission, new_job_id, submit
from tasks.webhooks.links import job_document

jobs = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

POLL_AGAIN_S = "1"

_TOO_MANY_WAITERS = (
    "Too many clients wait for jobs; read the job without waiting, or try again after "
    "Retry-After seconds."
)


@jobs.post("")
@takes(*UPLOAD_PARAMETERS)
@requires(Scope.JOBS)
def create() -> Response:
    """Submit a job; with `Prefer: wait=N` the response is held until it ends, at most N seconds.

    With application/x-ndjson each line of the body is an input, and the query has the rest:
    `pipeline`, `priority`, `deadline_ms`, the options by their names, `on_error=fail|skip`, and
    `lines`, the number of lines. Give `lines` if you send no Content-Length: an incomplete upload
    is recognised by it.
    """
    if request.mimetype == MEDIA_TYPE:
        return _create_from_upload()
    refuse_parameters("Only uploads (application/x-ndjson) take it; here it belongs in the body.")
    return create_from_json()


def create_from_json() -> Response:
    """Submit the JSON body of the request as a job of `g.principal`."""
    here = services()
    body = read_json(request, here.settings)
    asked, key = here.job_reader.read(body), idempotency_key()
    idempotency = Idempotency(key, digest_of(request.get_data())) if key else None
    return _submit_and_respond(build_submission(asked, idempotency), new_job_id())


def _create_from_upload() -> Response:
    """Submit an upload of NDJSON lines; the response lists the lines that were skipped."""
    here, job_id, key = services(), new_job_id(), idempotency_key()
    check_coding(request)
    query = read_query(here.job_reader, request.args)
    body = UploadBody(request, here.settings.max_upload_bytes)
    with StagedUpload(here.store, job_id, g.principal.owner, key) as upload:
        with translate_submit_errors():
            rejected = receive_upload(body, query, upload)
        idempotency = Idempotency(key, body.digest) if key else None
        submission = build_submission(query.asked, idempotency, upload)
        more = {"rejected": rejected.view()} if query.on_error is OnError.SKIP else {}
        return _submit_and_respond(submission, job_id, **more)


def _submit_and_respond(submission: Submission, job_id: str, **more: Any) -> Response:
    """Submit, wait if the client prefers that, and respond with the job and `more`."""
    here = services()
    check_quota(submission)
    spend(items=submission.total)
    wait_s = preferred_wait(here.settings.max_wait_s)
    if not wait_s:
        return _job_response(_submit(submission, job_id), more)
    with here.long_polls.register(job_id) as waiter:
        job = _submit(submission, job_id)
        if job.id != job_id:  # a replay of an earlier request
            job = _wait_for_job(wait_s, job.id)
        elif not job.status.is_terminal:
            with exclude_wait():
                job = waiter.wait(wait_s) or job
    response = _job_response(job, more)
    if waiter.admitted:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    return response


@jobs.get("")
@takes(*PARAMETERS)
@requires(Scope.JOBS)
def index() -> Response:
    """The caller's own jobs, newest first."""
    return show_page()


@jobs.get("/<job_id>")
@takes("wait")
@requires(Scope.JOBS)
def show(job_id: str) -> Response:
    """The job; with `?wait=N` the response is held until the job ends, at most N seconds."""
    wait_s = query_wait(services().settings.max_wait_s)
    job = _wait_for_job(wait_s, job_id) if wait_s else find_own_job(job_id)
    return make_conditional(respond(job_document(job)))


@jobs.get("/<job_id>/events")
@requires(Scope.JOBS)
def events(job_id: str) -> Response:
    """The job's status and progress as server-sent events, until it has ended."""
    return services().event_streams.follow(find_own_job(job_id))


@jobs.post("/<job_id>/cancel")
@requires(Scope.JOBS)
def cancel(job_id: str) -> Response:
    """Cancel a job that has not ended; cancelling it again is no error."""
    job = find_own_job(job_id)
    before = cancel_job(services().store, job.id)
    if before and before.is_terminal and before is not Status.CANCELLED:
        raise AlreadyFinished(f"The job has already ended: it {before}.")
    ended = find_own_job(job_id)
    if before and not before.is_terminal:
        services().job_sinks.report([FinishedJob.of(ended)])
    return respond(job_document(ended))


@jobs.get("/<job_id>/results")
@requires(Scope.JOBS)
def results(job_id: str) -> Response:
    """The results, one line per item in input order, also while the job runs."""
    return stream_lines(read_results(services().store, find_own_job(job_id)))


def _submit(submission: Submission, job_id: str) -> Job:
    """Submit the job, wake workers, and report it if it has ended already."""
    here = services()
    with translate_submit_errors():
        receipt = submit(here.store, submission, job_id)
    if receipt.wake_ups:
        here.waker.wake(receipt.lane, receipt.wake_ups)
    if receipt.job and receipt.job.status.is_terminal:
        here.job_sinks.report([FinishedJob.of(receipt.job)])
    return receipt.job or find_own_job(receipt.job_id)


def _wait_for_job(seconds: int, job_id: str) -> Job:
    """Wait for the caller's job to end; returns it, or its present state when the time is up."""
    with services().long_polls.register(job_id) as waiter:
        job = find_own_job(job_id)
        if job.status.is_terminal:
            return job
        if not waiter.admitted:
            raise Shedding(_TOO_MANY_WAITERS, int(POLL_AGAIN_S))
        with exclude_wait():
            ended = waiter.wait(seconds)
        return ended or find_own_job(job_id)


def _job_response(job: Job, more: Mapping[str, Any]) -> Response:
    """Respond with the job: 200 if it has ended, else 202 and when to read it again."""
    g.job = job.id
    response = respond({**job_document(job), **more}, 200 if job.status.is_terminal else 202)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    if not job.status.is_terminal:
        response.headers["Retry-After"] = POLL_AGAIN_S
    return response

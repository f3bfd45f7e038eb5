"""Builds the submission of a job from a valid request: record, lane, cache key, limits."""

from __future__ import annotations

import re

from flask import g, request

from app.http.errors import BadRequest
from app.routes.jobs.lane_choice import preferred_lane
from app.schemas.job import JobRequest
from app.services import services
from ml.pipeline import Item, Options
from tasks.jobs.hashing import InputHash, digest_of
from tasks.jobs.model import Spec
from tasks.jobs.result_cache import answer_key
from tasks.jobs.staged_upload import StagedUpload
from tasks.jobs.submit import Idempotency, Submission
from tasks.queue.circuit_breakers import breaker_name

_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,255}")  # two such headers arrive joined by a comma


def build_submission(
    asked: JobRequest, idempotency: Idempotency | None, upload: StagedUpload | None = None
) -> Submission:
    """Build what is submitted for `g.principal`. upload: the staged units of an upload."""
    pipeline = asked.pipeline
    options = Options(**asked.options)
    item = None if asked.bulk else Item(asked.inputs[0], options)
    return Submission(
        spec=_spec(asked, upload),
        inputs=asked.inputs,
        lane=preferred_lane(pipeline, options, item),
        priority=asked.priority,
        batch_items=pipeline.batch_items,
        most_unfinished=g.principal.limits.unfinished_items,
        breaker=breaker_name(pipeline.name, pipeline.tiers[0].name),
        deadline_ms=asked.deadline_ms,
        idempotency=idempotency,
        cache_key=answer_key(pipeline, item) if item else None,
        cpu_may_serve=pipeline.cpu_may_serve(options),
        staged=upload.units if upload else (),
    )


def check_quota(submission: Submission) -> None:
    """Refuse a job with more items than the key may ever have unfinished: waiting would not help.

    Raises:
        BadRequest: it has.
    """
    most = submission.most_unfinished
    if submission.total > most:
        detail = f"Must hold at most {most} inputs: as many may be unfinished with this key."
        raise BadRequest("The job is too large.", [{"pointer": "/inputs", "detail": detail}])


def idempotency_key() -> str | None:
    """The digest of the request's Idempotency-Key; None without such a header.

    Raises:
        BadRequest: the header is not valid.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        detail = "Must be 1 to 255 visible ASCII characters but no comma, given once."
        raise BadRequest(
            "A header is not valid.", [{"header": "Idempotency-Key", "detail": detail}]
        )
    return digest_of(b"POST /v1/jobs", key.encode())


def _spec(asked: JobRequest, upload: StagedUpload | None) -> Spec:
    """The part of the job's record that never changes."""
    return Spec(
        pipeline=asked.pipeline.name,
        owner=g.principal.owner,
        options=asked.options,
        metadata=asked.metadata,
        bulk=asked.bulk,
        unit_items=asked.pipeline.batch_items if asked.bulk else 1,
        request_id=g.request_id,
        traceparent=g.traceparent,
        webhook=asked.webhook,
        input_hash=_input_hash(asked, upload),
    )


def _input_hash(asked: JobRequest, upload: StagedUpload | None) -> str | None:
    """The keyed hash of the inputs for the job's log line; None unless the settings want it."""
    settings = services().settings
    if not settings.log_input_hash:
        return None
    if upload and upload.hash:
        return upload.hash.hex
    found = InputHash(settings.key_pepper)
    found.add(asked.inputs)
    return found.hex

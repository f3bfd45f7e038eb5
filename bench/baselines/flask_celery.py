"""Baseline: Flask, marshmallow, and one Celery task per input with a result backend.

Written as a careful engineer writes it today, without batching of its own: the same body is
validated, the same routes answer, an accepted job survives a worker's death (late acknowledgement),
and every setting that made it faster without losing jobs is set; bench/README.md says which and how
they compared. It returns less than Penstock does: no times, no attempts, and an unknown id
reads as queued, since Celery cannot tell. The "model" is the null pipeline's: a constant.

    web     granian --interface=wsgi bench.baselines.flask_celery:flask_app
    worker  celery -A bench.baselines.flask_celery:celery_app worker
"""

from __future__ import annotations

import hmac
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from celery import Celery
from celery.exceptions import TimeoutError as NotReady
from celery.result import AsyncResult
from flask import Flask, Response, abort, request
from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from ml.text import clean

MAX_WAIT_S = 60.0
KEEP_S = 86_400
BULK = "bulk_"  # begins the id of a job of many tasks
LOOK_AGAIN_S = 0.05  # between two polls of a bulk job's results, one MGET each
STATUS = {
    "PENDING": "queued",
    "STARTED": "running",
    "RETRY": "queued",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "REVOKED": "cancelled",
}
ANSWER = {
    "label": "allow",
    "action": "allow",
    "confidence": 1.0,
    "scores": {"allow": 1.0},
    "tier": "null",
    "model_version": "builtin",
    "degraded": False,
    "reason": None,
}

celery_app = Celery("baseline")
celery_app.conf.update(
    broker_url=f"redis://{os.environ['REDIS_HOST']}:{os.environ['REDIS_PORT']}/0",
    broker_password=os.environ["REDIS_PASSWORD"],
    broker_connection_retry_on_startup=True,
    broker_pool_limit=64,  # more than the client's connections: no thread waits for a producer
    result_backend="redis",
    redis_host=os.environ["REDIS_HOST"],
    redis_port=int(os.environ["REDIS_PORT"]),
    redis_password=os.environ["REDIS_PASSWORD"],
    result_expires=KEEP_S,
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
)
backend: Any = celery_app.backend  # the Redis backend: `client` and `get_key_for_task` are its own


@celery_app.task(name="predict")
def predict(_item: dict[str, Any], _options: dict[str, Any]) -> dict[str, Any]:
    return ANSWER


class Text(fields.String):
    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        return clean(super()._deserialize(*args, **kwargs))


class InputSchema(Schema):
    text = Text(required=True, validate=Length(1, 5_000))
    user_id = fields.String(validate=Regexp(r"^[A-Za-z0-9_-]+\Z"))


class OptionsSchema(Schema):
    language = fields.String(validate=Regexp(r"^[a-z]{2,3}\Z"))
    temperature = fields.Float(validate=Range(0.05, 20.0))
    max_tokens = fields.Integer(strict=True, validate=Range(1, 4_096))
    min_tier = fields.String()


class JobSchema(Schema):
    pipeline = fields.String(required=True, validate=OneOf(["null"]))
    input = fields.Nested(InputSchema)
    inputs = fields.List(fields.Nested(InputSchema), validate=Length(1, 1_000))
    options = fields.Nested(OptionsSchema, load_default=dict)
    priority = fields.String(validate=OneOf(["high", "normal", "low"]))
    metadata = fields.Dict(keys=fields.String())

    @validates_schema
    def one_kind_of_input(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("input" in data) == ("inputs" in data):
            raise ValidationError("Give either input or inputs.")


job_schema = JobSchema()
flask_app = Flask(__name__)
_AUTHORIZATION = f"Bearer {os.environ['PENSTOCK_API_KEY']}".encode()


@flask_app.before_request
def authenticate() -> Response | None:
    given = request.headers.get("Authorization", "").encode()
    if hmac.compare_digest(given, _AUTHORIZATION):
        return None
    return reply({"title": "Give a valid API key."}, 401)


@flask_app.errorhandler(ValidationError)
def invalid(error: ValidationError) -> Response:
    return reply({"title": "The request is not valid.", "errors": error.messages}, 400)


@flask_app.post("/v1/jobs")
def submit() -> Response:
    job = job_schema.load(request.get_json())
    if "inputs" in job:
        return reply({"id": submit_many(job["inputs"], job["options"]), "status": "queued"}, 202)
    task = predict.apply_async((job["input"], job["options"]))
    if (wait_s := preferred_wait()) and ended_within(task, wait_s):
        return reply(show(task))
    return reply({"id": task.id, "status": "queued"}, 202)


@flask_app.get("/v1/jobs/<job_id>")
def read(job_id: str) -> Response:
    wait_s = min(request.args.get("wait", 0.0, float), MAX_WAIT_S)
    if job_id.startswith(BULK):
        return reply(show_many(job_id, wait_s))
    task = celery_app.AsyncResult(job_id)
    if wait_s:
        ended_within(task, wait_s)
    return reply(show(task))


@flask_app.get("/v1/jobs/<job_id>/results")
def read_results(job_id: str) -> Response:
    return Response(result_lines(stored_results(job_id)), content_type="application/x-ndjson")


def submit_many(inputs: list[dict[str, Any]], options: dict[str, Any]) -> str:
    """Send a task per input over one producer; store their ids in order under the job's id."""
    with celery_app.producer_pool.acquire(block=True) as producer:
        tasks = [predict.apply_async((item, options), producer=producer).id for item in inputs]
    job_id = f"{BULK}{uuid.uuid4()}"
    backend.client.set(job_id, orjson.dumps(tasks), ex=KEEP_S)
    return job_id


def stored_results(job_id: str) -> list[bytes | None]:
    """The stored result of each task of a bulk job; None for those that have not ended."""
    tasks = orjson.loads(backend.client.get(job_id) or abort(404))
    stored: list[bytes | None] = backend.client.mget(map(backend.get_key_for_task, tasks))
    return stored


def result_lines(stored: list[bytes | None]) -> Iterator[bytes]:
    for index, meta in enumerate(stored):
        task = orjson.loads(meta) if meta else {"status": "PENDING", "result": None}
        line = {"index": index, "status": STATUS[str(task["status"])], "output": task["result"]}
        yield orjson.dumps({**line, "error": None}) + b"\n"


def show(task: AsyncResult[Any]) -> dict[str, Any]:
    state = str(task.state)
    output = task.result if state == "SUCCESS" else None
    return {"id": task.id, "pipeline": "null", "status": STATUS[state], "output": output}


def show_many(job_id: str, wait_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + wait_s
    while None in (stored := stored_results(job_id)) and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_S)
    done, total = len(stored) - stored.count(None), len(stored)
    status = "succeeded" if done == total else "running"
    return {"id": job_id, "status": status, "progress": {"done": done, "total": total}}


def ended_within(task: AsyncResult[Any], seconds: float) -> bool:
    try:
        task.get(timeout=seconds, propagate=False)
    except NotReady:
        return False
    return True


def preferred_wait() -> float:
    found = re.search(r"wait=(\d+)", request.headers.get("Prefer", ""))
    return min(float(found[1]), MAX_WAIT_S) if found else 0.0


def reply(document: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, content_type="application/json")

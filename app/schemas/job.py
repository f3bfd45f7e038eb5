"""Validates the body of `POST /v1/jobs`: the envelope here, inputs by the pipeline's own schema.

That of moderation is `ml.moderation.schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Range, Regexp

from app.http.errors import BadRequest
from app.schemas.fields import StrictFloat, StrictInteger, StrictString
from app.schemas.messages import INVALID, error_list, load_with_errors, merge_errors
from app.schemas.metadata import metadata_errors
from app.schemas.webhook import WebhookSchema, url_errors
from ml.pipeline import Mode, Options, Pipeline
from tasks.config.settings import Settings
from tasks.jobs.lanes import Priority


class OptionsSchema(Schema):
    """`options` of a job; for an absent option the default of `ml.pipeline.Options` is taken."""

    error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "unknown": "Unknown option; there are language, temperature, max_tokens, min_tier "
        "and mode.",
        "type": "Must be an object.",
    }

    language = StrictString(validate=Regexp(r"[a-z]{2,3}\Z", error="Must be a code such as 'en'."))
    temperature = StrictFloat(validate=Range(0.05, 20.0))
    max_tokens = StrictInteger(validate=Range(1, 4_096))
    min_tier = StrictString()
    mode = StrictString(validate=OneOf(list(Mode)))


class JobSchema(Schema):
    """The envelope of a job. The pipeline's own schema validates `input` and `inputs`."""

    error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "unknown": "Unknown field; there are pipeline, input, inputs, options, priority, "
        "deadline_ms, webhook and metadata.",
    }

    pipeline = StrictString(required=True)
    input = fields.Raw(allow_none=True)
    inputs = fields.List(fields.Raw(allow_none=True))
    options = fields.Nested(OptionsSchema, load_default=dict)
    priority = StrictString(validate=OneOf(list(Priority)), load_default=Priority.NORMAL)
    deadline_ms = StrictInteger(load_default=None)
    webhook = fields.Nested(WebhookSchema)
    metadata = fields.Dict(load_default=dict, error_messages={"invalid": "Must be an object."})


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A validated body; its inputs as the pipeline's schema has loaded them."""

    pipeline: Pipeline
    inputs: list[Mapping[str, Any]]
    bulk: bool
    options: Mapping[str, Any]
    priority: Priority
    deadline_ms: int | None
    webhook: Mapping[str, Any] | None
    metadata: Mapping[str, Any]


class JobReader:
    """Validates parsed bodies. Schemas are built once, because building one is slow."""

    def __init__(self, pipelines: Mapping[str, Pipeline], settings: Settings) -> None:
        self._pipelines = pipelines
        self._settings = settings
        self._envelope = JobSchema()
        self._inputs = {name: one.input_schema() for name, one in pipelines.items()}

    def read(self, body: Mapping[str, Any]) -> JobRequest:
        """Validate a whole body.

        Raises:
            BadRequest: it names every field that is wrong.
        """
        pipeline, envelope, errors = self._load_envelope(body)
        inputs, input_errors = self._load_inputs(body, envelope, pipeline)
        for more in (input_errors, self._limit_errors(envelope, pipeline)):
            merge_errors(errors, more)
        if errors:
            raise BadRequest(INVALID, error_list(errors))
        return _request(pipeline, inputs, envelope, bulk="inputs" in envelope)

    def read_envelope(self, body: Mapping[str, Any]) -> JobRequest:
        """Validate the envelope of an upload; its inputs are read later (`app.routes.jobs.upload`).

        Raises:
            BadRequest: it names every field that is wrong.
        """
        pipeline, envelope, errors = self._load_envelope(body)
        merge_errors(errors, self._limit_errors(envelope, pipeline))
        if errors:
            raise BadRequest(INVALID, error_list(errors))
        return _request(pipeline, [], envelope, bulk=True)

    def read_input(self, pipeline: Pipeline, given: Any) -> Mapping[str, Any]:
        """Validate one input of an upload.

        Raises:
            BadRequest: it names every field that is wrong.
        """
        entry: Mapping[str, Any]
        entry, errors = load_with_errors(self._inputs[pipeline.name], given)
        if errors:
            raise BadRequest(INVALID, error_list(errors))
        return entry

    def _load_envelope(
        self, body: Mapping[str, Any]
    ) -> tuple[Pipeline, dict[str, Any], dict[str, Any]]:
        """Load the envelope; returns the pipeline, the loaded envelope and its errors."""
        envelope, errors = load_with_errors(self._envelope, body)
        pipeline = self._pipelines.get(envelope.get("pipeline", ""))
        if pipeline is None:
            names = ", ".join(sorted(self._pipelines))
            errors["pipeline"] = [f"Must be a string, one of: {names}."]
            raise BadRequest(INVALID, error_list(errors))
        return pipeline, envelope, errors

    def _limit_errors(self, envelope: Mapping[str, Any], pipeline: Pipeline) -> dict[str, Any]:
        """Errors of members that the settings or the pipeline limit."""
        errors: dict[str, Any] = {}
        tiers = [tier.name for tier in pipeline.tiers]
        options = envelope.get("options", {})
        min_tier = options.get("min_tier")
        if min_tier is not None and min_tier not in tiers:
            errors["options"] = {"min_tier": [f"Must be one of: {', '.join(tiers)}."]}
        elif options.get("mode") == Mode.CHEAP and not pipeline.cpu_may_serve(Options(**options)):
            text = f"Must not be cheap with the min_tier {min_tier}: no cpu tier is so good."
            errors["options"] = {"mode": [text]}
        deadline, longest = envelope.get("deadline_ms"), self._settings.max_deadline_ms
        if deadline is not None and not 1 <= deadline <= longest:
            errors["deadline_ms"] = [f"Must be between 1 and {longest} milliseconds."]
        if wrong := url_errors(envelope.get("webhook", {}), self._settings):
            errors["webhook"] = wrong
        if metadata := envelope.get("metadata"):
            errors |= metadata_errors(metadata, self._settings.max_metadata_bytes)
        return errors

    def _load_inputs(
        self, body: Mapping[str, Any], envelope: Mapping[str, Any], pipeline: Pipeline
    ) -> tuple[list[Mapping[str, Any]], dict[str, Any]]:
        """Load the inputs by the pipeline's schema; returns them and their errors."""
        schema = self._inputs[pipeline.name]
        if ("input" in body) == ("inputs" in body):
            return [], {"input": ["Give either 'input' or 'inputs', and only one of them."]}
        if "input" in body:
            entry, errors = load_with_errors(schema, envelope["input"])
            return [entry], {"input": errors} if errors else {}
        given, most = envelope.get("inputs"), self._settings.max_inputs
        if given is None:
            return [], {}  # not a list: the envelope's own errors say so
        if not 1 <= len(given) <= most:
            return [], {"inputs": [f"Must hold between 1 and {most} inputs, not {len(given)}."]}
        entries, errors = load_with_errors(schema, given, many=True)
        return list(entries), {"inputs": errors} if errors else {}


def _request(
    pipeline: Pipeline, inputs: list[Mapping[str, Any]], envelope: Mapping[str, Any], bulk: bool
) -> JobRequest:
    return JobRequest(
        pipeline=pipeline,
        inputs=inputs,
        bulk=bulk,
        options=envelope["options"],
        priority=Priority(envelope["priority"]),
        deadline_ms=envelope["deadline_ms"],
        webhook=envelope.get("webhook"),
        metadata=envelope["metadata"],
    )

"""What `POST /v1/jobs` accepts, as marshmallow schemas; each pipeline brings that of its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from app.errors import BadRequest
from ml.pipeline import Pipeline
from tasks.lanes import Priority
from tasks.settings import Settings


class StrictString(fields.String):
    """A string; numbers and lists are not turned into one."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class StrictInteger(fields.Integer):
    """An integer; neither "7" nor 7.0 nor true."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if type(value) is not int:
            raise self.make_error("invalid")
        return value


class StrictFloat(fields.Float):
    """A finite number; neither "0.7" nor true."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> float:
        if type(value) not in (int, float):
            raise self.make_error("invalid")
        return float(super()._deserialize(value, *args, **kwargs))


class OptionsSchema(Schema):
    """See `ml.pipeline.Options`; an option that is absent takes the default there."""

    language = StrictString(validate=Regexp("^[a-z]{2,3}$", error="Must be a code such as 'en'."))
    temperature = StrictFloat(validate=Range(0.05, 20.0))
    max_tokens = StrictInteger(validate=Range(1, 4_096))
    min_tier = StrictString()


class JobSchema(Schema):
    """The envelope of a job. `input` and `inputs` are checked by the pipeline's own schema."""

    pipeline = StrictString(required=True)
    input = fields.Raw()
    inputs = fields.List(fields.Raw())
    options = fields.Nested(OptionsSchema, load_default=dict)
    priority = StrictString(validate=OneOf(list(Priority)), load_default=Priority.NORMAL)
    deadline_ms = StrictInteger(load_default=None)
    metadata = fields.Dict(keys=StrictString(validate=Length(1, 64)), load_default=dict)

    @validates_schema
    def one_kind_of_input(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("input" in data) == ("inputs" in data):
            raise ValidationError("Give either 'input' or 'inputs'.", "input")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A valid body, its inputs as the pipeline's schema leaves them."""

    pipeline: Pipeline
    inputs: list[Mapping[str, Any]]
    bulk: bool
    options: Mapping[str, Any]
    priority: Priority
    deadline_ms: int | None
    metadata: Mapping[str, Any]


class JobReader:
    """Turns a parsed body into a `JobRequest`. Schemas are built once: building one is slow."""

    def __init__(self, pipelines: Mapping[str, Pipeline], settings: Settings) -> None:
        self._pipelines = pipelines
        self._settings = settings
        self._envelope = JobSchema()
        self._inputs = {name: line.input_schema() for name, line in pipelines.items()}

    def read(self, body: Mapping[str, Any]) -> JobRequest:
        """Validate everything, or raise `BadRequest` naming every field that is wrong."""
        try:
            envelope: dict[str, Any] = self._envelope.load(body)
            pipeline = self._pipeline(envelope["pipeline"])
            self._check(envelope, pipeline)
            inputs = self._load_inputs(envelope, pipeline)
        except ValidationError as error:
            raise BadRequest("The request is not valid.", pointers(error.messages)) from None
        return JobRequest(
            pipeline=pipeline,
            inputs=inputs,
            bulk="inputs" in envelope,
            options=envelope["options"],
            priority=Priority(envelope["priority"]),
            deadline_ms=envelope["deadline_ms"],
            metadata=envelope["metadata"],
        )

    def _pipeline(self, name: str) -> Pipeline:
        if name not in self._pipelines:
            names = ", ".join(sorted(self._pipelines))
            raise ValidationError(f"Must be one of: {names}.", "pipeline")
        return self._pipelines[name]

    def _check(self, envelope: Mapping[str, Any], pipeline: Pipeline) -> None:
        errors: dict[str, Any] = {}
        tiers = [tier.name for tier in pipeline.tiers]
        min_tier = envelope["options"].get("min_tier")
        if min_tier is not None and min_tier not in tiers:
            errors["options"] = {"min_tier": [f"Must be one of: {', '.join(tiers)}."]}
        deadline, longest = envelope["deadline_ms"], self._settings.max_deadline_ms
        if deadline is not None and not 1 <= deadline <= longest:
            errors["deadline_ms"] = [f"Must be between 1 and {longest} milliseconds."]
        if len(orjson.dumps(envelope["metadata"])) > self._settings.max_metadata_bytes:
            most = self._settings.max_metadata_bytes
            errors["metadata"] = [f"Must be at most {most} bytes of JSON."]
        count, most = len(envelope.get("inputs", [None])), self._settings.max_inputs
        if not 1 <= count <= most:
            errors["inputs"] = [f"Must hold between 1 and {most} inputs, not {count}."]
        if errors:
            raise ValidationError(errors)

    def _load_inputs(
        self, envelope: Mapping[str, Any], pipeline: Pipeline
    ) -> list[Mapping[str, Any]]:
        schema = self._inputs[pipeline.name]
        try:
            if "inputs" in envelope:
                return list(schema.load(envelope["inputs"], many=True))
            return [schema.load(envelope["input"])]
        except ValidationError as error:
            field = "inputs" if "inputs" in envelope else "input"
            raise ValidationError({field: error.messages}) from None


def pointers(messages: Any, at: str = "") -> list[dict[str, str]]:
    """marshmallow's nested messages as a flat list, each naming its field by JSON pointer."""
    if isinstance(messages, dict):
        flat = []
        for key, below in messages.items():
            flat += pointers(below, at if key == "_schema" else f"{at}/{key}")
        return flat
    return [{"pointer": at, "detail": str(message)} for message in messages]

"""The schema of `POST /v1/jobs`: the envelope joined with the input schema of each pipeline.

The schema of the envelope alone would lack what the API also checks: the inputs and tiers of the
pipeline, and the limits in the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from marshmallow import Schema

from app.openapi.convert import SchemaConverter
from app.schemas.job import JobSchema, OptionsSchema
from app.schemas.metadata import MAX_KEY
from app.schemas.webhook import EndpointChanges, EndpointSchema, WebhookSchema
from ml.pipeline import Pipeline
from tasks.config.settings import Settings
from tasks.webhooks.url_policy import MAX_CHARACTERS

_KEYS = {"minLength": 1, "maxLength": MAX_KEY, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$"}
_WEBHOOKS: dict[str, Schema] = {
    "Webhook": WebhookSchema(),
    "EndpointRequest": EndpointSchema(),
    "EndpointChanges": EndpointChanges(partial=True),
}
_64_BITS = {"minimum": -(2**63), "exclusiveMaximum": 2**63}


def add_requests(
    shapes: SchemaConverter, pipelines: Iterable[Pipeline], settings: Settings
) -> None:
    """Add the component `JobRequest`, and for a pipeline "name" `NameJob` and `NameInput`."""
    add = shapes.spec.components.schema
    add("Value", _value())
    add("Metadata", _metadata(settings))
    variants: dict[str, str] = {}
    for pipeline in pipelines:
        word = _word(pipeline)
        add(f"{word}Input", shapes.json_schema(pipeline.input_schema()))
        add(f"{word}Job", _job(shapes, pipeline, word, settings))
        variants[pipeline.name] = f"#/components/schemas/{word}Job"
    request = {
        "oneOf": [{"$ref": reference} for reference in variants.values()],
        "discriminator": {"propertyName": "pipeline", "mapping": variants},
    }
    add("JobRequest", request)
    inputs = [{"$ref": f"#/components/schemas/{_word(p)}Input"} for p in pipelines]
    add("JobLines", {"type": "string", "x-line-schema": {"anyOf": inputs}})
    add("WebhookURL", _url(settings))
    for name, schema in _WEBHOOKS.items():
        add(name, _of_webhook(shapes, schema))


def _word(pipeline: Pipeline) -> str:
    return pipeline.name.title().replace("_", "").replace("-", "")


def line_examples(pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    """For each pipeline an upload of two lines, as OpenAPI example objects."""
    found = {}
    for pipeline in pipelines:
        text = json.dumps(dict(pipeline.example), ensure_ascii=False) + "\n"
        found[pipeline.name] = {
            "summary": f"Two inputs for ?pipeline={pipeline.name}",
            "value": 2 * text,
        }
    return found


def examples(pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    """For each pipeline a single and a bulk job, as OpenAPI example objects."""
    found = {}
    for pipeline in pipelines:
        one = {"pipeline": pipeline.name, "input": dict(pipeline.example)}
        many = {
            "pipeline": pipeline.name,
            "inputs": [dict(pipeline.example)] * 2,
            "priority": "low",
        }
        found[pipeline.name] = {"summary": f"One input for {pipeline.name}", "value": one}
        told = one | {"webhook": {"url": "https://example.com/hooks/penstock"}}
        found[f"{pipeline.name}_webhook"] = {"summary": "The same with a webhook", "value": told}
        found[f"{pipeline.name}_bulk"] = {
            "summary": f"Many inputs for {pipeline.name}",
            "value": many,
        }
    return found


def _job(
    shapes: SchemaConverter, pipeline: Pipeline, word: str, settings: Settings
) -> dict[str, Any]:
    job = shapes.json_schema(JobSchema(exclude=("options", "webhook")))
    given = job["properties"]
    reference = {"$ref": f"#/components/schemas/{word}Input"}
    given["pipeline"] = {"const": pipeline.name}
    given["input"] = reference
    given["inputs"] = {
        "type": "array",
        "items": reference,
        "minItems": 1,
        "maxItems": settings.max_inputs,
    }
    given["options"] = _options(shapes, pipeline)
    given["deadline_ms"] |= {"minimum": 1, "maximum": settings.max_deadline_ms}
    given["webhook"] = {"$ref": "#/components/schemas/Webhook"}
    given["metadata"] = {"$ref": "#/components/schemas/Metadata"}
    job["oneOf"] = [{"required": ["input"]}, {"required": ["inputs"]}]
    job["additionalProperties"] = False
    return job


def _options(shapes: SchemaConverter, pipeline: Pipeline) -> dict[str, Any]:
    options = shapes.json_schema(OptionsSchema())
    options["properties"]["min_tier"] = {
        "enum": [tier.name for tier in pipeline.tiers],
        "description": "The lowest tier whose answer is accepted.",
    }
    options["properties"]["mode"] |= {
        "default": pipeline.mode,
        "description": "The gpu lane: quality always; balanced if an input needs it; cheap never.",
    }
    options["additionalProperties"] = False
    return options


def _of_webhook(shapes: SchemaConverter, schema: Schema) -> dict[str, Any]:
    described = shapes.json_schema(schema)
    described["properties"]["url"] = {"$ref": "#/components/schemas/WebhookURL"}
    described["additionalProperties"] = False
    return described


def _url(settings: Settings) -> dict[str, Any]:
    named = ", ".join(settings.webhook_http_hosts)
    return {
        "type": "string",
        "format": "uri",
        "description": "On a public host, without user name and password; docs/webhooks.md has the "
        f"rules.{f' On {named} also with http.' if named else ''}",
        "pattern": f"^http{'s?' if named else 's'}://[!-~]+$",
        "maxLength": MAX_CHARACTERS,
        "example": "https://example.com/hooks/penstock",
    }


def _metadata(settings: Settings) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Your own data, returned with the job; at most "
        f"{settings.max_metadata_bytes} bytes as JSON.",
        "propertyNames": _KEYS,
        "additionalProperties": {"$ref": "#/components/schemas/Value"},
        "example": {"ticket": "A-17"},
    }


def _value() -> dict[str, Any]:
    here = {"$ref": "#/components/schemas/Value"}
    return {
        "description": "Any JSON whose numbers fit in 64 bits and whose strings have no U+0000.",
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "string", "pattern": "^[^\\x00]*$"},
            {"type": "number", **_64_BITS},
            {"type": "array", "items": here},
            {"type": "object", "propertyNames": _KEYS, "additionalProperties": here},
        ],
    }

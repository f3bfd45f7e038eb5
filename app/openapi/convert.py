"""marshmallow schemas as JSON Schema, by apispec."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields
from marshmallow.validate import Regexp


class SchemaConverter:
    """A spec under way: components are added to `spec`, schemas converted by `json_schema`."""

    def __init__(self, title: str = "", version: str = "", **options: Any) -> None:
        plugin = MarshmallowPlugin()
        self.spec = APISpec(title, version, "3.1.0", plugins=[plugin], **options)
        if plugin.converter is None:
            raise RuntimeError("apispec gave its marshmallow plugin no converter")
        self._converter = plugin.converter
        self._converter.add_attribute_function(_portable_pattern)

    def json_schema(self, schema: Schema) -> dict[str, Any]:
        return dict(self._converter.schema2jsonschema(schema))


def _portable_pattern(_: OpenAPIConverter, field: fields.Field[Any], **__: Any) -> dict[str, Any]:
    r"""JSON Schema searches where `Regexp` matches from the start, and it has no `\Z`."""
    patterns = [str(rule.regex.pattern) for rule in field.validators if isinstance(rule, Regexp)]
    if not patterns:
        return {}
    (pattern,) = patterns
    start = "" if pattern.startswith("^") else "^"
    return {"pattern": start + pattern.replace(r"\Z", "$")}

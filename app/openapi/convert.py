"""Converts marshmallow schemas to JSON Schema, with apispec."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields
from marshmallow.validate import Regexp


class SchemaConverter:
    """Converts schemas, and collects the components of a document in `spec`."""

    def __init__(self, title: str = "", version: str = "", **options: Any) -> None:
        plugin = MarshmallowPlugin()
        self.spec = APISpec(title, version, "3.1.0", plugins=[plugin], **options)
        if plugin.converter is None:
            raise RuntimeError("apispec gave its marshmallow plugin no converter")
        self._converter = plugin.converter
        self._converter.add_attribute_function(_portable_pattern)

    def json_schema(self, schema: Schema) -> dict[str, Any]:
        """Convert a schema to JSON Schema."""
        return dict(self._converter.schema2jsonschema(schema))


def _portable_pattern(_: OpenAPIConverter, field: fields.Field[Any], **__: Any) -> dict[str, Any]:
    r"""Adapt a pattern: JSON Schema searches, `Regexp` matches from the start; it has no `\Z`."""
    patterns = [str(rule.regex.pattern) for rule in field.validators if isinstance(rule, Regexp)]
    if not patterns:
        return {}
    (pattern,) = patterns
    start = "" if pattern.startswith("^") else "^"
    return {"pattern": start + pattern.replace(r"\Z", "$")}

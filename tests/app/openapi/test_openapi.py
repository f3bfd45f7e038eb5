from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.commands.openapi import render_default_document
from app.http import errors
from app.openapi.document import document
from app.openapi.operations import NOT_DESCRIBED, OPERATIONS
from tests.app.answers import JOB_MEMBERS
from tests.stack import ROOT

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def described(app: Flask) -> dict[str, Any]:
    return document(app)


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in described["paths"].items():
        for method in METHODS & set(item):
            yield f"{method} {path}", item[method]


def resolved(described: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        for name in node["$ref"].removeprefix("#/").split("/"):
            described = described[name]
        return described
    return node


def media(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Schema and examples of every request and response body."""
    for name, operation in operations(described):
        if "requestBody" in operation:
            for content in operation["requestBody"]["content"].values():
                yield f"{name} takes", content
        for status, response in operation["responses"].items():
            for content in resolved(described, response).get("content", {}).values():
                yield f"{name} answers {status}", content


def test_it_is_valid_openapi(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_it_describes_every_route_and_no_other(app: Flask, described: dict[str, Any]) -> None:
    there = {
        (method.lower(), re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint not in NOT_DESCRIBED
    }
    said = {(m, path) for path, item in described["paths"].items() for m in METHODS & set(item)}
    assert said == there
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == {*OPERATIONS, *NOT_DESCRIBED}


def test_a_route_that_nobody_described_is_named(app: Flask) -> None:
    from app.factory import create_app  # noqa: PLC0415
    from app.services import EXTENSION  # noqa: PLC0415

    another = create_app(app.extensions[EXTENSION].settings)
    another.add_url_rule("/new", "new", lambda: "")
    with pytest.raises(LookupError, match=r"does not describe new \(/new\)"):
        document(another)


def test_every_body_has_examples_and_they_are_valid(described: dict[str, Any]) -> None:
    checked = 0
    for where, content in media(described):
        schema = content["schema"] | {"components": described["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema)
        assert content["examples"], where
        for name, example in content["examples"].items():
            problems = [error.message for error in validator.iter_errors(example["value"])]
            assert problems == [], f"{where}: {name}"
            checked += 1
    assert checked > 30


def test_every_operation_explains_itself(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        assert operation["summary"], name
        assert operation["operationId"], name
        for response in operation["responses"].values():
            assert "X-Request-ID" in resolved(described, response)["headers"], name


def test_what_wants_a_key_says_so_and_what_comes_without(described: dict[str, Any]) -> None:
    keyless = {name for name, operation in operations(described) if not operation["security"]}
    assert keyless == {"get /livez", "get /readyz", "get /openapi.json", "get /docs"}
    for name, operation in operations(described):
        assert ("401" in operation["responses"]) == (name not in keyless), name


def test_a_job_has_the_members_it_says(described: dict[str, Any]) -> None:
    schema = described["components"]["schemas"]["Job"]
    assert set(schema["properties"]) == set(schema["required"]) == JOB_MEMBERS


def test_the_limits_are_those_of_the_settings(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    job = schemas["EchoJob"]["properties"]
    assert job["inputs"]["maxItems"] == 20
    assert job["deadline_ms"]["maximum"] == 86_400_000
    assert job["options"]["properties"]["min_tier"]["enum"] == ["size"]
    assert set(schemas["JobRequest"]["discriminator"]["mapping"]) == {"null", "echo"}


def test_the_document_that_is_checked_in_is_what_the_code_says() -> None:
    checked_in = (ROOT / "docs" / "openapi.json").read_bytes()
    assert checked_in == render_default_document(), "run `make openapi`"


def codes() -> set[str]:
    def below(error: type[errors.ApiError]) -> Iterator[type[errors.ApiError]]:
        yield error
        for kind in error.__subclasses__():
            yield from below(kind)

    own = {error.code for error in below(errors.ApiError)}
    return own | {"bad_request", "not_found", "method_not_allowed"}  # werkzeug's


def test_the_table_of_docs_has_every_error_code() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == sorted(rows)
    assert {code for _, code, *_ in rows} == codes()


def test_the_page_of_docs_shows_every_route(described: dict[str, Any]) -> None:
    commands = (ROOT / "docs" / "api.md").read_text()
    commands = re.sub(
        r"\$(JOB|ENDPOINT|DELIVERY)\b", lambda it: f"{{{it[1].lower()}_id}}", commands
    )
    commands = commands.replace("/pings/$PING", "/pings/{delivery_id}")
    commands = commands.replace("/pipelines/moderation", "/pipelines/{name}")
    commands = commands.replace("/lanes/gpu", "/lanes/{lane}")
    missing = [p for p in described["paths"] if not re.search(re.escape(p) + r'["?]', commands)]
    assert missing == []


def test_the_document_is_served_without_a_key(app: Flask, described: dict[str, Any]) -> None:
    response = app.test_client().get("/openapi.json")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert json.loads(response.data) == described


def test_the_page_loads_nothing_from_elsewhere(app: Flask) -> None:
    visitor = app.test_client()
    page = visitor.get("/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in page.text
    assert re.search(r"<script>|<style>|\son\w+=", page.text) is None
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) == 5
    for part in parts:
        with visitor.get(f"/{part}") as response:
            assert response.status_code == 200, part


def test_swagger_ui_is_of_the_generation_that_reads_openapi_3_1(app: Flask) -> None:
    with app.test_client().get("/docs/swagger-ui-bundle.js") as bundle:
        assert bundle.content_type.startswith("text/javascript")
        assert b"oas31" in bundle.data


@pytest.mark.parametrize("name", ["index.html", "../wsgi.py", "swagger-ui.js", "%2e%2e/docs.py"])
def test_no_other_file_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404

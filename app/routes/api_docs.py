"""/openapi.json and /docs: the OpenAPI document, and Swagger UI from a package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, current_app, send_file

from app.openapi.document import document, to_text

docs = Blueprint("docs", __name__)

_HERE = Path(__file__).parents[1] / "openapi" / "page"
_PAGE = (_HERE / "index.html").read_bytes()
_UI = Path(str(files("flask_swagger_ui"))) / "dist"
ASSETS = {
    "start.js": _HERE / "start.js",
    "swagger-ui-bundle.js": _UI / "swagger-ui-bundle.js",
    "swagger-ui.css": _UI / "swagger-ui.css",
    "favicon.png": _UI / "favicon-32x32.png",
}
# Swagger UI loads its icons from data: URLs and sets styles of elements by script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TEXT = "penstock.openapi"


@docs.get("/openapi.json")
def openapi() -> Response:
    """This document: every route with its parameters and responses."""
    made = current_app.extensions
    if _TEXT not in made:
        made[_TEXT] = to_text(document(current_app))
    return Response(made[_TEXT], mimetype="application/json")


@docs.get("/docs")
def page() -> Response:
    """The document as a page on which each route can be tried with your key."""
    headers = {"Content-Security-Policy": POLICY}
    return Response(_PAGE, mimetype="text/html", headers=headers)


@docs.get(f"/docs/<any({', '.join(repr(name) for name in ASSETS)}):name>")
def asset(name: str) -> Response:
    """A file of the page."""
    return send_file(ASSETS[name], max_age=3_600)

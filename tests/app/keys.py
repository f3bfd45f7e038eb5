"""Helpers: create keys, and clients that send them."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from app.api_keys.management import IssuedKey, KeyRequest, create
from app.api_keys.principal import Scope
from app.services import EXTENSION


def made(app: Flask, owner: str = "acme", *scopes: Scope) -> IssuedKey:
    """Create a key. An application that has read the keys may not know it for half a second."""
    request = KeyRequest(owner=owner, scopes=scopes or (Scope.JOBS,))
    return create(app.extensions[EXTENSION].store, request)


def with_key(app: Flask, key: str) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client

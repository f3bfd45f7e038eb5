"""Loads pipelines by import path (`package.module:attribute`). Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from ml.pipeline import Pipeline


class CatalogError(Exception):
    """A pipeline target is malformed or cannot be served; the text names it."""


def load_pipelines(targets: Sequence[str]) -> dict[str, Pipeline]:
    """Load pipelines from "package.module:attribute" targets: pipelines by name, in that order.

    Raises CatalogError naming the target that is malformed, cannot be imported, is no Pipeline
    or repeats a name.
    """
    found: dict[str, Pipeline] = {}
    for target in targets:
        pipeline = _load(target)
        if pipeline.name in found:
            raise CatalogError(f"pipeline {target!r}: the name {pipeline.name!r} is taken already")
        found[pipeline.name] = pipeline
    return found


def _load(target: str) -> Pipeline:
    pipeline = resolve(target)
    if not isinstance(pipeline, Pipeline):
        raise CatalogError(f"pipeline {target!r} is a {type(pipeline).__name__}, not a Pipeline")
    return pipeline


def resolve(target: str) -> object:
    """Import the object that "package.module:attribute" names; raises CatalogError naming it."""
    module, _, attribute = target.partition(":")
    if not module or not attribute:
        raise CatalogError(f'{target!r} must look like "package.module:attribute"')
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise CatalogError(f"{target!r} cannot be loaded: {error!r}") from error

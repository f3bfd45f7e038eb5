"""The committed model version, loaded once."""

from __future__ import annotations

import pytest

from ml.moderation.features import Featuriser
from ml.moderation.pipeline import pipeline
from ml.serving.runtime import Runtime


@pytest.fixture(scope="session")
def featuriser() -> Featuriser:
    return pipeline.featuriser


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    loaded = Runtime.load(pipeline, "cpu")
    loaded.warm_up()
    return loaded

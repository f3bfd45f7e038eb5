"""Python loads this at the start of every process that has the folder on PYTHONPATH."""

import os

from tests.faults import patches

getattr(patches, os.environ["PENSTOCK_TEST_PATCH"])()

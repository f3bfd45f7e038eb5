"""Variables that look like settings and are none: told at the start, or nobody would notice."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from difflib import get_close_matches

from tasks.config.settings import Settings
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

PREFIX = "PENSTOCK_"
# Not read here, and no mistakes: what `make up` and the tests read, and what Kubernetes sets beside
# a service of that name (https://kubernetes.io/docs/concepts/services-networking/service/).
_OTHERS = re.compile(
    r"PENSTOCK_(INSTANCE|VAR|URL|UP_TIMEOUT_S|TEST_.+|SCREENSHOTS|SERVICE_.+|PORT_\d+_.+)"
)


def warn_of_misspelt(names: Iterable[str]) -> None:
    """Log each of a process's variables whose name begins as ours do but is no setting.

    No error: whoever goes back to an older version must not be kept from starting by a newer name.
    """
    known = [member.metadata["env"] for member in dataclasses.fields(Settings)]
    bare = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known and not _OTHERS.fullmatch(name):
            alike = get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            nearest = bare[alike[0]] if alike else None
            log.warning("no such setting: ignored", variable=name, nearest=nearest)

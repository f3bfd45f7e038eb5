"""Finds environment variables that look like settings but are none, such as misspelt names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from tasks.config.settings import Settings

PREFIX = "PENSTOCK_"
# Not read by Settings, and not misspelt: what `make up` and the tests read, and what Kubernetes
# sets beside a service of that name
# (https://kubernetes.io/docs/concepts/services-networking/service/).
_OTHERS = re.compile(
    r"PENSTOCK_(INSTANCE|VAR|URL|UP_TIMEOUT_S|TEST_.+|SCREENSHOTS|SERVICE_.+|PORT_\d+_.+)"
)


def find_unknown_variables(names: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Yield (variable, nearest setting or None) for each name with our prefix that is no setting.

    The programs log these as warnings and start all the same: after a return to an older version,
    a newer variable must not keep it from starting.
    """
    known = [member.metadata["env"] for member in dataclasses.fields(Settings)]
    bare = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known and not _OTHERS.fullmatch(name):
            alike = get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            yield name, bare[alike[0]] if alike else None

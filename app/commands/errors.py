"""Why an operator's command could not be done: a sentence and exit status 1, not a traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click
from redis import RedisError

P = ParamSpec("P")


def explained(
    refusal: type[Exception],
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Says a `refusal` in its own words, and where Redis was looked for if it fails."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
            except refusal as error:
                raise click.ClickException(str(error)) from None
            except RedisError as error:
                raise click.ClickException(
                    f"The job store does not answer: {str(error).rstrip('.')}. REDIS_HOST, "
                    "REDIS_PORT and REDIS_PASSWORD of this shell say where it is."
                ) from None

        return run

    return decorate

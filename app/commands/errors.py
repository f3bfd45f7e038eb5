"""Errors of the commands: a sentence and exit status 1 instead of a traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click
from redis import RedisError

P = ParamSpec("P")


def report_errors(
    refusal: type[Exception], hint: str = ""
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorator: reports a `refusal` or a failure of Redis as a sentence and exit status 1.

    hint: a sentence that says what to do after a refusal.
    """

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
            except refusal as error:
                raise click.ClickException(f"{error} {hint}".rstrip()) from None
            except RedisError as error:
                raise click.ClickException(
                    f"The job store does not answer: {str(error).rstrip('.')}. REDIS_HOST, "
                    "REDIS_PORT and REDIS_PASSWORD of this shell say where it is."
                ) from None

        return run

    return decorate

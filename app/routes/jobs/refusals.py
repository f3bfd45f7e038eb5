"""Turns refusals of the job store into the errors that clients get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.http.errors import (
    BodyTooLarge,
    KeyInFlight,
    KeyReused,
    OverQuota,
    RequestTimeout,
    Shedding,
)
from tasks.jobs.staged_upload import TooLarge
from tasks.jobs.submit import (
    IdempotencyMismatch,
    InFlight,
    Overloaded,
    QuotaExceeded,
    Unstaged,
)

_SHED = {
    "full": "The lane is full; nothing was accepted. Try again after Retry-After seconds.",
    "memory": "The job store is nearly full; nothing was accepted. Try again after Retry-After "
    "seconds.",
    "late": "At the rate the lane drains the deadline would pass before this job's turn; "
    "nothing was accepted. Try again after Retry-After seconds, or allow more time.",
}


@contextmanager
def translate_submit_errors() -> Iterator[None]:
    """Context manager that turns exceptions of submitting and staging into `ApiError`."""
    try:
        yield
    except IdempotencyMismatch:
        raise KeyReused("This Idempotency-Key was used with another body.") from None
    except InFlight:
        raise KeyInFlight("An upload with this Idempotency-Key is in progress.") from None
    except QuotaExceeded as error:
        raise OverQuota(
            f"This key may have {error.most} unfinished items and has {error.unfinished}; nothing "
            "was accepted. Try again after Retry-After seconds, or send fewer at once.",
            error.retry_after_s,
        ) from None
    except Overloaded as error:
        raise Shedding(_SHED[error.reason], error.retry_after_s) from None
    except TooLarge as error:
        raise BodyTooLarge(f"The inputs have more than {error.most} bytes in all.") from None
    except Unstaged:
        raise RequestTimeout("The body came too slowly; nothing was done. Send it again.") from None

"""A job as a line of the page: how it stands and what it came to, never what was asked."""

from __future__ import annotations

from typing import Any, Final

from tasks.jobs.model import Job

_SHOWN: Final = ("label", "action", "confidence", "tier", "degraded", "reason")
LONGEST: Final = 200  # characters of a text that a pipeline made


def row(job: Job) -> dict[str, Any]:
    seen = job.view()
    kept = ("id", "pipeline", "status", "created_at", "queue_ms", "run_ms", "lane", "attempts")
    output = seen["output"] if isinstance(seen["output"], dict) else {}
    answer = {name: _cut(output[name]) for name in _SHOWN if name in output}
    return {
        **{name: seen[name] for name in kept},
        "owner": job.spec.owner,
        "cached": job.cached,
        "progress": seen["progress"],
        "answer": answer,
        "error": seen["error"] and {name: _cut(text) for name, text in seen["error"].items()},
    }


def _cut(value: Any) -> Any:
    """A pipeline may answer anything; only numbers, truth values and short texts are shown."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"

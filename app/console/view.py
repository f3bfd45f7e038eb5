"""Builds the JSON of the console from an overview of the service.

Counts are totals since counting began; the page computes rates itself, from two responses. Buckets
of histograms are not cumulative; the last one has no upper bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ml.pipeline import Pipeline
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Job
from tasks.status.cost import any_price, lanes_of, prices_of, tiers_of
from tasks.status.overview import Overview
from tasks.store.series import CONFIDENCE_BOUNDS, SECONDS_BOUNDS, select_series

LONGEST: Final = 200  # characters of a text that a pipeline made
_SHOWN: Final = ("label", "action", "confidence", "tier", "degraded", "reason")
_TIMES: Final = ("job", "queue", "inference")


def build_view(seen: Overview, settings: Settings, pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    """Build the data of the page, except drift."""
    served = list(pipelines)
    health, series = seen.health, seen.series
    return {
        "at_ms": seen.now / 1000,
        "reasons": health.missing(),
        "status": "unready" if not health.could_finish else _status(health.missing()),
        "flower_port": settings.flower_port,
        "pipelines": [_pipeline(pipeline) for pipeline in served],
        "lanes": [_lane(seen, lane) for lane in Lane],
        "seconds_bounds": SECONDS_BOUNDS,
        "confidence_bounds": CONFIDENCE_BOUNDS,
        "latency": _latency(series),
        "confidence": _confidence(series),
        "ended": _pairs(series, "jobs"),
        "answered": _predictions(series),
        "cache": _cache(series),
        "degraded": _pairs(series, "degraded"),
        "breakers": [
            {"pipeline": name.partition("/")[0], "tier": name.partition("/")[2], "state": state}
            for name, state in seen.breakers.items()
        ],
        "cost": _cost(series, settings),
        "webhooks": dict(seen.attempts),
        "dead": {"units": health.dead_units, "webhooks": health.dead_webhooks},
        "redis": {"bytes": health.redis_bytes, "max_bytes": health.redis_max_bytes},
        "jobs": [_row(job) for job in seen.jobs],
    }


def _status(missing: list[str]) -> str:
    return "degraded" if missing else "ready"


def _pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """takes_text: whether an input may be a text and nothing else."""
    fields = pipeline.input_schema().fields
    others = [name for name, field in fields.items() if field.required and name != "text"]
    return {"name": pipeline.name, "takes_text": "text" in fields and not others}


def _lane(seen: Overview, lane: Lane) -> dict[str, Any]:
    """One lane. jobs: those that succeeded or failed in it; for webhooks, attempts to deliver."""
    health = seen.health
    items = select_series(seen.series, "items")
    return {
        "lane": lane.value,
        "workers": health.workers.get(lane, 0),
        "waiting": {priority.value: health.depth[lane, priority] for priority in Priority},
        "bytes": health.load.get(lane, 0),
        "oldest_s": seen.oldest_waiting_s[lane],
        "drain_rate": health.drain_rate.get(lane, 0),
        "jobs": sum(seen.attempts.values())
        if lane is Lane.WEBHOOKS
        else _jobs_of(seen.series, lane),
        "items": sum(count for (_, of, _), count in items.items() if of == lane),
    }


def _jobs_of(series: Mapping[str, str], lane: str) -> int:
    counted = select_series(series, "job").items()
    return sum(count for (_, of, *_, part), count in counted if of == lane and part != "sum")


def _latency(series: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each pipeline the buckets of its three durations, in seconds."""
    found: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for name in _TIMES:
        for (pipeline,), buckets in _buckets(series, name, 1, len(SECONDS_BOUNDS)).items():
            found[pipeline][name] = buckets
    return [{"pipeline": pipeline, **times} for pipeline, times in sorted(found.items())]


def _confidence(series: Mapping[str, str]) -> list[dict[str, Any]]:
    found = _buckets(series, "confidence", 2, len(CONFIDENCE_BOUNDS))
    return [
        {"pipeline": pipeline, "tier": tier, "buckets": buckets}
        for (pipeline, tier), buckets in sorted(found.items())
    ]


def _buckets(
    series: Mapping[str, str], name: str, labels: int, bounds: int
) -> dict[tuple[str, ...], list[int]]:
    """The counts of a histogram by its first `labels` labels, summed over the others."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * (bounds + 1))
    for (*of, part), count in select_series(series, name).items():
        if part != "sum":
            found[tuple(of[:labels])][int(part) - 1] += count
    return found


def _pairs(series: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    """Counts by pipeline and a second label: jobs by status, degraded answers by reason."""
    counted = sorted(select_series(series, name).items())
    return [{"pipeline": pipeline, "of": of, "count": count} for (pipeline, of), count in counted]


def _predictions(series: Mapping[str, str]) -> list[dict[str, Any]]:
    """Items by pipeline, tier and status, summed over model versions."""
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    for (pipeline, tier, _, status), count in select_series(series, "predictions").items():
        found[pipeline, tier, status] += count
    return [
        {"pipeline": pipeline, "tier": tier, "status": status, "count": count}
        for (pipeline, tier, status), count in sorted(found.items())
    ]


def _cache(series: Mapping[str, str]) -> list[dict[str, Any]]:
    hits, misses = select_series(series, "cache_hits"), select_series(series, "cache_misses")
    return [
        {"pipeline": of[0], "hits": hits.get(of, 0), "misses": misses.get(of, 0)}
        for of in sorted(hits.keys() | misses.keys())
    ]


def _cost(series: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """What lanes and tiers cost; see docs/cost.md. priced: whether any lane has a price;
    amounts without one are null."""
    prices = prices_of(settings)
    return {
        "priced": any_price(prices),
        "lanes": [
            {
                "lane": lane.lane,
                "busy_s": lane.busy_s,
                "idle_s": lane.idle_s,
                "device_s": lane.device_s,
                "items": lane.items,
                "utilization": lane.utilization,
                "busy_cost": lane.busy_cost,
                "idle_cost": lane.idle_cost,
                "cost_per_1000": lane.cost_per_1000,
            }
            for lane in lanes_of(series, prices)
        ],
        "tiers": [
            {
                "pipeline": tier.pipeline,
                "lane": tier.lane,
                "tier": tier.tier,
                "items": tier.items,
                "device_s": tier.device_s,
                "cost_per_1000": tier.cost_per_1000,
            }
            for tier in tiers_of(series, prices)
        ],
    }


def _row(job: Job) -> dict[str, Any]:
    """A row of the table of jobs: status and answer, never the input."""
    seen = job.view()
    kept = ("id", "pipeline", "status", "created_at", "queue_ms", "run_ms", "lane", "attempts")
    output = seen["output"] if isinstance(seen["output"], dict) else {}
    answer = {name: _shorten(output[name]) for name in _SHOWN if name in output}
    return {
        **{name: seen[name] for name in kept},
        "owner": job.spec.owner,
        "cached": job.cached,
        "progress": seen["progress"],
        "answer": answer,
        "error": seen["error"] and {name: _shorten(text) for name, text in seen["error"].items()},
    }


def _shorten(value: Any) -> Any:
    """Shorten a value: of a pipeline's output only numbers, booleans and short texts are shown."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"

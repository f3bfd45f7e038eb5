"""OpenAPI entries, schemas and examples of the drift routes."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Range

from app.http import errors
from app.openapi.answers import Shape
from app.openapi.operation import Operation, ResponseEntry
from tasks.drift.reports import NO_REFERENCE, NOT_ENOUGH

_VERDICTS = ("drift", "ok", NOT_ENOUGH)


def _number(says: str, none: bool = False) -> fields.Float:
    return fields.Float(
        required=True, allow_none=none, validate=Range(0), metadata={"description": says}
    )


def _count(says: str) -> fields.Integer:
    return fields.Integer(required=True, validate=Range(0), metadata={"description": says})


def _text(says: str, **more: Any) -> fields.String:
    return fields.String(required=True, metadata={"description": says}, **more)


def _shares(says: str) -> fields.List[float]:
    return fields.List(
        fields.Float(validate=Range(0, 1)), required=True, metadata={"description": says}
    )


class DriftHistogramShape(Shape):
    """A feature's distribution in the reference and in production, over the same bins."""

    bins = fields.List(
        fields.Raw(),
        required=True,
        metadata={
            "description": "Names of classes; or edges of bins, one more than there are shares."
        },
    )
    reference = _shares("Shares of the reference, by bin.")
    production = _shares("Shares of production, by bin.")


class DriftFeatureShape(Shape):
    """One feature; its figures are null if there was not enough data."""

    name = _text("length, tokens, ..., confidence, class.")
    test = _text("The statistical test.", validate=OneOf(["kolmogorov-smirnov", "chi-square"]))
    samples = _count("Samples of production.")
    verdict = _text("drift: q is small and the effect large enough.", validate=OneOf(_VERDICTS))
    text = _text("The same in words.")
    statistic = _number("The test statistic: D, or chi-square.", none=True)
    p = _number("The probability of so large a difference by chance.", none=True)
    q = _number("p, corrected for the number of features tested.", none=True)
    effect = _number("How large the difference is: D, or Cohen's w of classes.", none=True)
    psi = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Population stability index; not used for the verdict."},
    )
    histogram = fields.Nested(DriftHistogramShape, required=True, allow_none=True)


class DriftShape(Shape):
    """The latest drift report of a pipeline's model version."""

    pipeline = _text("As in `pipeline` of a job.")
    model_version = _text("The version that answered.")
    verdict = _text(
        "The verdict on all features together.", validate=OneOf([*_VERDICTS, NO_REFERENCE])
    )
    text = _text("The same in words.")
    alarm = fields.Boolean(
        required=True,
        metadata={"description": "Whether the last report with enough data found drift."},
    )
    since = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "When that last changed."}
    )
    computed_at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "null: there is no report yet."}
    )
    interval_s = _count("How often a report is made; it covers the last one to two intervals.")
    samples = _count("Answers that were sampled.")
    min_samples = _count("With fewer samples a feature gets no verdict.")
    reference_rows = _count("Rows of the reference.")
    q = _number("The threshold of q: above it a difference may be chance.")
    min_effect = _number("The threshold of effect: below it a difference does not matter.")
    tier = _text("The tier whose confidence and classes are compared.", allow_none=True)
    features = fields.List(fields.Nested(DriftFeatureShape), required=True)


COMPONENTS: tuple[type[Schema], ...] = (DriftHistogramShape, DriftFeatureShape, DriftShape)

_SHORT: dict[str, Any] = {
    "pipeline": "moderation",
    "model_version": "2026-11-02",
    "computed_at": None,
    "interval_s": 3_600,
    "q": 0.02,
    "min_effect": 0.1,
    "verdict": NOT_ENOUGH,
    "text": "No report yet: 12 answers are sampled, at least 500 are needed.",
    "samples": 12,
    "min_samples": 500,
    "reference_rows": 0,
    "tier": None,
    "features": [],
    "alarm": False,
    "since": None,
}
_DRIFT: dict[str, Any] = _SHORT | {
    "computed_at": "2026-11-18T10:00:00.000Z",
    "verdict": "drift",
    "text": "Production no longer looks like what the model was made for: length.",
    "samples": 2_000,
    "reference_rows": 2_000,
    "tier": "transformer",
    "features": [
        {
            "name": "length",
            "test": "kolmogorov-smirnov",
            "samples": 2_000,
            "verdict": "drift",
            "text": "Texts are longer: median 89 -> 178 characters. "
            "This is not chance, and large enough to matter.",
            "statistic": 0.42,
            "p": 1e-150,
            "q": 8e-150,
            "effect": 0.42,
            "psi": 1.1,
            "histogram": {
                "bins": [0.0, 100.0, 200.0],
                "reference": [0.6, 0.4],
                "production": [0.2, 0.8],
            },
        }
    ],
    "alarm": True,
    "since": "2026-11-18T10:00:00.012Z",
}
_EXAMPLES = {"drift": _DRIFT, "none": _SHORT}

DRIFT: dict[str, Operation] = {
    "pipelines.show_drift": Operation(
        id="showDrift",
        tag="Pipelines",
        parameters=("PipelineName",),
        responses=(ResponseEntry(200, "The report.", "Drift", _EXAMPLES),),
        errors=(errors.PipelineNotFound,),
    ),
    "pipelines.compare_drift": Operation(
        id="compareDrift",
        tag="Pipelines",
        parameters=("PipelineName",),
        responses=(ResponseEntry(200, "The new report.", "Drift", _EXAMPLES),),
        errors=(errors.PipelineNotFound,),
    ),
}

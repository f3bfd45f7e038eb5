"""Words for a drift report, for readers who are not statisticians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Known features: name, text if higher, text if lower, and how a value is written.
_NAMES: Final[dict[str, tuple[str, str, str, str]]] = {
    "length": ("Length", "Texts are longer", "Texts are shorter", "{:.0f} characters"),
    "tokens": ("Tokens", "Texts have more tokens", "Texts have fewer tokens", "{:.0f}"),
    "out_of_vocabulary": (
        "Unknown words",
        "More words are unknown to the model",
        "Fewer words are unknown to the model",
        "{:.1%}",
    ),
    "capitals": ("Capitals", "More letters are capitals", "Fewer letters are capitals", "{:.1%}"),
    "punctuation": (
        "Punctuation",
        "There is more punctuation",
        "There is less punctuation",
        "{:.1%}",
    ),
    "non_latin": (
        "Other scripts",
        "More letters are not Latin",
        "Fewer letters are not Latin",
        "{:.1%}",
    ),
    "confidence": (
        "Confidence",
        "The model is surer of its answers",
        "The model is less sure of its answers",
        "{:.2f}",
    ),
    "class": ("Classes", "", "", "{:.1%}"),
}
_CLEAR: Final = 0.05  # a median that moved by less than this share is not worth reporting


def title(name: str) -> str:
    """The name of a feature as a report shows it."""
    return _NAMES[name][0] if name in _NAMES else name.replace("_", " ").capitalize()


def of_figures(name: str, before: Floats, now: Floats) -> str:
    """Describe how a numeric feature moved: by its median, else its mean, else its spread."""
    _, higher, lower, shape = _NAMES.get(
        name, ("", f"{title(name)} is higher", f"{title(name)} is lower", "{:.3g}")
    )
    for measure, of in (("median", np.median), ("mean", np.mean)):
        first, second = float(of(before)), float(of(now))
        if abs(second - first) > _CLEAR * max(abs(first), abs(second)):
            says = higher if second > first else lower
            return f"{says}: {measure} {_number(shape, first)} -> {shape.format(second)}"
    (low, high), (new_low, new_high) = (np.quantile(of, [0.1, 0.9]) for of in (before, now))
    old, new = f"{shape.format(low)} to {shape.format(high)}", f"{shape.format(new_low)}"
    return f"{title(name)}: four fifths lie from {old} -> {new} to {shape.format(new_high)}"


def _number(shape: str, value: float) -> str:
    """A number without its unit; the number behind the arrow has it."""
    return shape.format(value).split(" ")[0]


def of_classes(names: Sequence[str], before: Floats, now: Floats) -> str:
    """Describe the class whose share moved most."""
    most = int(np.argmax(np.abs(now - before)))
    says = "more" if now[most] > before[most] else "fewer"
    return f"There are {says} answers '{names[most]}': {before[most]:.1%} -> {now[most]:.1%}"


def judged(found: str, sure: bool, large: bool, effect: float, least: float) -> str:
    """Add the verdict and the figures that it is based on."""
    if sure and large:
        return f"{found}. This is not chance, and large enough to matter."
    if sure:
        return (
            f"No drift: a difference, but too small to matter ({effect:.3f} < {least:g}). {found}."
        )
    if large:
        return f"No drift: so few samples may differ by chance as much as these do. {found}."
    return f"No drift. {found}, which is within chance."


def not_enough(name: str, samples: int, least: int) -> str:
    """Say that a feature gets no verdict because it has too few samples."""
    return f"{title(name)} is not judged: {samples:,} samples, at least {least:,} are needed."


def summary(drifted: Sequence[str], samples: int, needed: int | None) -> str:
    """Summarise a whole report. needed: samples, if there are not enough."""
    if needed is not None:
        return (
            f"Not enough data: {samples:,} answers were sampled, at least {needed:,} are needed "
            "before they can be compared with what the model was made for."
        )
    if not drifted:
        return f"No drift: {samples:,} answers look like what the model was made for."
    named = ", ".join(title(name).lower() for name in drifted)
    return (
        f"Production no longer looks like what the model was made for: {named}. Its answers may be "
        "worse than its figures say; docs/drift.md has what to do."
    )

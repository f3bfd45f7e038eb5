"""Distinct texts, some of which moderation blocks or wants reviewed."""

from __future__ import annotations

from collections.abc import Sequence

OPENINGS: Sequence[str] = (
    "Have a great day, everyone",
    "You are an idiot and nobody likes you",
    "Does anybody know when the library opens",
    "I will find you and hurt you",
    "Buy cheap watches now, click here",
    "What a stupid idea, honestly",
    "The recipe needs two eggs, flour and some milk",
    "Go kill yourself",
)


def texts(series: str, count: int) -> list[str]:
    """`count` texts, none of which any other series has."""
    return [
        f"{OPENINGS[n % len(OPENINGS)]}. {'Really. ' * (n % 23)}({series} {n})"
        for n in range(count)
    ]

"""Packs items into batches by a budget of padded tokens, so that one long text pads few others."""

from __future__ import annotations

from collections.abc import Sequence


def pack(costs: Sequence[int], budget: int, most: int) -> list[list[int]]:
    """Positions of `costs`, longest first, in batches of `count * longest <= budget`.

    No batch has more than `most` members. A member that exceeds the budget gets a batch of
    its own. Longest first: if memory runs out, it does so on the first batch.
    """
    if not costs or (len(costs) <= most and len(costs) * max(costs) <= budget):
        return [list(range(len(costs)))] if costs else []
    order = sorted(range(len(costs)), key=costs.__getitem__, reverse=True)
    batches: list[list[int]] = []
    room = 0
    for position in order:
        if room <= 0:
            batches.append([])
            room = min(most, max(1, budget // max(1, costs[position])))
        batches[-1].append(position)
        room -= 1
    return batches

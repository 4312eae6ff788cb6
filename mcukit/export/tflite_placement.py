# SPDX-License-Identifier: Apache-2.0
"""Offsets for groups of tensors that share rows' memory over time.

Tensors that fill the arena one after the other must lie at its ends in turn, so that what becomes free between them is
one piece. Which of the large ones lie at the upper end is tried out.
"""

from __future__ import annotations

__all__ = ["fit", "place_groups"]

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

from mcukit.planning.placement import Conflicts, live_bytes

_LARGE = 5
"""Groups that may lie at the upper end."""

_REPAIRS = 8
"""Times that a group which no longer fitted may be placed earlier, in one order."""


def place_groups(conflicts: Conflicts, tries: int) -> list[int]:
    """Offsets by position, for the smallest arena found. tries: sizes of the arena that are tried."""
    least = live_bytes(conflicts.buffers)
    best = _stacked(conflicts)
    smallest = _arena(conflicts, best)
    low = least
    for attempt in range(tries):
        if low >= smallest:
            break
        arena = low if attempt == 0 else (low + smallest) // 2
        offsets = fit(conflicts, arena, {})
        if offsets:
            best, smallest = offsets, _arena(conflicts, offsets)
        else:
            low = arena + 1
    return best


def fit(conflicts: Conflicts, arena: int, fixed: Mapping[int, int], *, large: int = _LARGE) -> list[int]:
    """Offsets by position within an arena of this size; none were found if there are none.

    fixed: those known. large: groups that may lie at the upper end.
    """
    buffers = conflicts.buffers
    free = [position for position in range(len(buffers)) if position not in fixed]
    births = sorted(free, key=lambda i: (int(buffers[i].cells.born.min()), -buffers[i].bytes))
    sizes = sorted(free, key=lambda i: (-buffers[i].bytes, i))
    for upper in _subsets(sizes[:large]):
        for order in (list(births), list(sizes)):
            for _ in range(_REPAIRS):
                failed, offsets = _placed(conflicts, order, upper, arena, fixed)
                if failed is None:
                    return offsets
                place = order.index(failed)
                if not place:
                    break
                order.remove(failed)
                order.insert(place // 2, failed)
    return []


def _subsets(positions: Sequence[int]) -> Iterator[frozenset[int]]:
    for count in range(len(positions) + 1):
        yield from map(frozenset, itertools.combinations(positions, count))


def _placed(
    conflicts: Conflicts, order: Sequence[int], upper: Collection[int], arena: int, fixed: Mapping[int, int]
) -> tuple[int | None, list[int]]:
    """The first group in the order that doesn't fit, and the offsets of those before it."""
    offsets = [-1] * len(conflicts.buffers)
    placed = list(fixed)
    for position in placed:
        offsets[position] = fixed[position]
    for position in order:
        size = conflicts.buffers[position].bytes
        blocked = [
            (offsets[other] + low, offsets[other] + high)
            for other in placed
            for low, high in conflicts.between(other, position)
        ]
        offset = _highest(blocked, arena - size) if position in upper else _lowest(blocked)
        if offset < 0 or offset + size > arena:
            return position, offsets
        offsets[position] = offset
        placed.append(position)
    return None, offsets


def _lowest(blocked: list[tuple[int, int]]) -> int:
    offset = 0
    for low, high in sorted(blocked):
        if low > offset:
            break
        offset = max(offset, high + 1)
    return offset


def _highest(blocked: list[tuple[int, int]], offset: int) -> int:
    for low, high in sorted(blocked, key=lambda span: -span[1]):
        if high < offset:
            break
        offset = min(offset, low - 1)
    return offset


def _stacked(conflicts: Conflicts) -> list[int]:
    """Every group as low as it goes in the order of births or of sizes, whichever is better: always possible."""
    buffers = conflicts.buffers
    far = sum(buffer.bytes for buffer in buffers)
    births = sorted(range(len(buffers)), key=lambda i: (int(buffers[i].cells.born.min()), -buffers[i].bytes))
    sizes = sorted(range(len(buffers)), key=lambda i: (-buffers[i].bytes, i))
    found = [_placed(conflicts, order, (), far, {})[1] for order in (births, sizes)]
    return min(found, key=lambda offsets: _arena(conflicts, offsets))


def _arena(conflicts: Conflicts, offsets: Sequence[int]) -> int:
    return max((offset + buffer.bytes for offset, buffer in zip(offsets, conflicts.buffers, strict=True)), default=0)

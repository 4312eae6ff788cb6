# SPDX-License-Identifier: Apache-2.0
"""Places buffers in one arena so that no two rows that are alive together share a byte."""

from __future__ import annotations

__all__ = ["ALIGNMENT", "Conflicts", "live_bytes", "place"]

import random
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from mcukit.planning.lifetimes import BufferNeed, Cells

ALIGNMENT = 4
"""Every buffer starts on a word, so that kernels may load words and scratch may hold int32_t."""

_SHUFFLES = 40
"""Orders that are tried at random where the deliberate ones leave gaps. The same ones each time."""

_FINEST = 512
"""Cells of a buffer that are told apart when it is placed: all rows of all but very tall maps."""

Span = tuple[int, int]


class Conflicts:
    """For every two buffers the distances at which they can't lie: computed once, used by every placement."""

    def __init__(self, buffers: Sequence[BufferNeed]) -> None:
        self.buffers = tuple(buffers)
        self._spans: dict[tuple[int, int], tuple[Span, ...]] = {}
        self._contemporaries: dict[int, list[int]] = {}
        lives = np.array([_life(buffer.cells) for buffer in buffers], np.int64).reshape(-1, 2)
        self._born, self._dies = lives[:, 0], lives[:, 1]
        self._cells = [_coarse(buffer.cells) for buffer in buffers]

    def contemporaries(self, position: int) -> list[int]:
        """Buffers that are alive while this one is: of a long network few of all. It is one of them itself."""
        if position not in self._contemporaries:
            meets = (self._born <= self._dies[position]) & (self._dies >= self._born[position])
            self._contemporaries[position] = np.flatnonzero(meets).tolist()
        return self._contemporaries[position]

    def between(self, first: int, second: int) -> tuple[Span, ...]:
        """Inclusive ranges, ascending, of offset(second) - offset(first) that would let live rows overlap."""
        if (first, second) not in self._spans:
            spans: tuple[Span, ...] = ()
            if self._born[first] <= self._dies[second] and self._born[second] <= self._dies[first]:
                spans = _forbidden(self._cells[first], self._cells[second])
            self._spans[first, second] = spans
            self._spans[second, first] = tuple((-high, -low) for low, high in reversed(spans))
        return self._spans[first, second]


def place(
    conflicts: Conflicts, members: Sequence[int] | None = None, orders: int | None = None
) -> tuple[dict[int, int], int]:
    """Offsets by position in `conflicts.buffers`, for `members` of them or for all, and the bytes of the whole arena.

    Buffers are placed one by one, each where the arena grows least. What comes of that depends on the order, so
    several are tried until the arena is as small as what is alive at once. Finding the best order is NP-hard: it is
    Dynamic Storage Allocation (Garey and Johnson, 1979). orders: how many are tried at most.
    """
    positions = list(range(len(conflicts.buffers))) if members is None else list(members)
    if not positions:
        return {}, 0
    buffers = conflicts.buffers
    bound = _align(live_bytes([buffers[position] for position in positions]))
    best: dict[int, int] = {}
    smallest = -1
    for order in islice(_orders(buffers, positions), orders):
        offsets, arena = _one_by_one(conflicts, order, smallest)
        if smallest < 0 or (0 <= arena < smallest):
            best, smallest = offsets, arena
        if smallest <= bound:
            break
    return best, smallest


def live_bytes(buffers: Sequence[BufferNeed]) -> int:
    """The most bytes that are alive at one tick: no placement of these buffers can go below."""
    born = np.concatenate([buffer.cells.born for buffer in buffers])
    dies = np.concatenate([buffer.cells.dies for buffer in buffers])
    sizes = np.concatenate([buffer.cells.end - buffer.cells.start for buffer in buffers])
    origin = int(born.min())
    change = np.zeros(int(dies.max()) - origin + 2, np.int64)
    np.add.at(change, born - origin, sizes)
    np.add.at(change, dies - origin + 1, -sizes)
    return int(change.cumsum().max())


def _life(cells: Cells) -> Span:
    if not len(cells.born):
        return 0, -1
    return int(cells.born.min()), int(cells.dies.max())


def _coarse(cells: Cells) -> Cells:
    """At most _FINEST cells, neighbours taken together: pairs of very tall maps would take too long otherwise."""
    if len(cells.start) <= _FINEST:
        return cells
    # Cells stand by tile and row: neighbours lie side by side and live at about the same time.
    begins = np.arange(0, len(cells.start), -(-len(cells.start) // _FINEST))
    return Cells(
        np.minimum.reduceat(cells.start, begins),
        np.maximum.reduceat(cells.end, begins),
        np.minimum.reduceat(cells.born, begins),
        np.maximum.reduceat(cells.dies, begins),
    )


def _forbidden(a: Cells, b: Cells) -> tuple[Span, ...]:
    """Distances of b from a at which a cell of one lies on a cell of the other that is alive at the same time."""
    together = (a.born[:, None] <= b.dies) & (b.born <= a.dies[:, None])
    rows, columns = np.nonzero(together)
    if not len(rows):
        return ()
    low = a.start[rows] - b.end[columns] + 1
    high = a.end[rows] - b.start[columns] - 1
    return tuple(_merge(low, high))


def _merge(low: np.ndarray, high: np.ndarray) -> Iterator[Span]:
    order = np.argsort(low, kind="stable")
    low, reach = low[order], np.maximum.accumulate(high[order])
    breaks = np.flatnonzero(low[1:] > reach[:-1] + 1) + 1
    begins = np.concatenate(([0], breaks))
    ends = np.append(breaks, len(low)) - 1
    yield from zip(low[begins].tolist(), reach[ends].tolist(), strict=True)


def _orders(buffers: Sequence[BufferNeed], positions: Sequence[int]) -> Iterator[list[int]]:
    """By size, by size times lifetime, by birth, from the last back; then shuffles that keep large buffers early."""
    sizes = {position: buffers[position].bytes for position in positions}
    lives = {position: _life(buffers[position].cells) for position in positions}
    yield sorted(positions, key=lambda i: (-sizes[i], lives[i]))
    yield sorted(positions, key=lambda i: (-sizes[i] * (lives[i][1] - lives[i][0] + 1), i))
    yield sorted(positions, key=lambda i: (lives[i][0], -sizes[i]))
    yield sorted(positions, key=lambda i: (-lives[i][1], -sizes[i]))
    generator = random.Random(0)  # noqa: S311 - a search, not a secret
    for _ in range(_SHUFFLES):
        noise = {position: generator.uniform(0.3, 1.0) for position in positions}
        yield sorted(positions, key=lambda i: -sizes[i] * noise[i])


def _one_by_one(conflicts: Conflicts, order: Sequence[int], limit: int) -> tuple[dict[int, int], int]:
    """Offsets and arena; arena -1 as soon as it is known to be `limit` or more."""
    offsets: dict[int, int] = {}
    low, high = 0, 0
    for position in order:
        size = conflicts.buffers[position].bytes
        blocked = []
        for other in conflicts.contemporaries(position):
            if other in offsets:
                offset = offsets[other]
                blocked += [(offset + a, offset + b) for a, b in conflicts.between(other, position)]
        offset = _best_offset(blocked, size, low, high) if offsets else 0
        offsets[position] = offset
        low, high = min(low, offset), max(high, offset + size)
        if 0 <= limit <= _align(high - low):
            return {}, -1
    return {position: offset - low for position, offset in offsets.items()}, _align(high - low)


def _best_offset(blocked: list[Span], size: int, low: int, high: int) -> int:
    """The aligned offset outside of `blocked` that makes the span [low, high) grow least; of these the lowest."""
    gaps = _gaps(blocked)
    best, best_growth = 0, -1
    for first, last in gaps:
        for wanted in (low, high - size):
            offset = _align(min(max(wanted, first), last))
            if offset > last:
                offset -= ALIGNMENT
            if offset < first:
                continue
            growth = max(low - offset, 0) + max(offset + size - high, 0)
            if best_growth < 0 or (growth, offset) < (best_growth, best):
                best, best_growth = offset, growth
    return best


_FAR = 1 << 40


def _gaps(blocked: list[Span]) -> list[Span]:
    """Inclusive ranges of offsets that are free."""
    gaps, start = [], -_FAR
    for low, high in sorted(blocked):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    gaps.append((start, _FAR))
    return gaps


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

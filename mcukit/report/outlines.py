# SPDX-License-Identifier: Apache-2.0
"""Outlines of buffers: which bytes they use from when to when, as shapes that grow and shrink."""

from __future__ import annotations

__all__ = ["Outline", "ToX", "outline_path", "outline_room", "outlines_of"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mcukit.planning.lifetimes import Cells
from mcukit.report.memory import Holding

_Numbers = npt.NDArray[np.float64]

ToX = Callable[[npt.NDArray[np.generic]], _Numbers]
"""From ticks to places on the time axis."""

_MOST_STEPS = 8000
"""In all outlines of a picture together, 20 bytes each. What has more is drawn in coarser steps."""

_COARSEST = 256.0

_LINE = 12.0
"""Units of height that a line of text needs."""

_THINNEST = 2.0
"""Units of height: a buffer of a few bytes is still seen."""


@dataclass(frozen=True, eq=False)
class Outline:
    """A buffer's life as bars from bottom to top: the heights [low, high), in use from left to right."""

    low: _Numbers
    high: _Numbers
    left: _Numbers
    right: _Numbers


def outlines_of(holdings: Sequence[Holding], place_x: ToX, unit: float) -> list[Outline]:
    """As fine as the picture's size allows."""
    step = 1.0
    while True:
        outlines = [_outline(holding.cells, place_x, unit, step) for holding in holdings]
        if sum(len(outline.low) for outline in outlines) <= _MOST_STEPS or step > _COARSEST:
            return outlines
        step *= 2.0


def _outline(cells: Cells, place_x: ToX, unit: float, step: float) -> Outline:
    """Rows that lie in the same `step` units of height, or follow each other within as much time, become one bar."""
    start, end = cells.start * unit, cells.end * unit
    if end.max() - start.min() < _THINNEST:
        start, end = np.full_like(start, start.min()), np.full_like(end, start.min() + _THINNEST)
    order = np.lexsort((cells.born, start))
    low, high = start[order], end[order]
    left, right = place_x(cells.born[order]), place_x(cells.dies[order] + 1)
    same_bytes = np.append(False, (low[1:] == low[:-1]) & (high[1:] == high[:-1]))
    adjacent = np.append(False, np.isclose(low[1:], high[:-1]))
    same_step = np.append(False, (low[1:] // step) == (low[:-1] // step))
    same_time = np.append(False, (left[1:] == left[:-1]) & (right[1:] == right[:-1]))
    soon = np.append(False, left[1:] <= right[:-1] + step)
    joins = (same_bytes & soon) | (adjacent & (same_step | same_time))
    begins = np.flatnonzero(~joins)
    return Outline(
        np.minimum.reduceat(low, begins),
        np.maximum.reduceat(high, begins),
        np.minimum.reduceat(left, begins),
        np.maximum.reduceat(right, begins),
    )


def outline_path(outline: Outline, bottom: float) -> str:
    """Up the left ends of the bars and down their right ends; a new piece wherever bars don't lie on each other."""
    pieces = []
    for bars in _pieces(outline):
        low, high = bottom - outline.low[bars], bottom - outline.high[bars]
        left, right = outline.left[bars], outline.right[bars]
        text = [f"M{_n(left[0])} {_n(low[0])}"]
        text += [f"H{_n(x)}V{_n(y)}" for x, y in zip(left, high, strict=True)]
        text += [f"H{_n(x)}V{_n(y)}" for x, y in zip(right[::-1], low[::-1], strict=True)]
        pieces.append("".join(text) + "Z")
    return "".join(pieces)


def _pieces(outline: Outline) -> Iterator[slice]:
    """Runs of bars that lie on each other and overlap in time."""
    on_top = np.isclose(outline.low[1:], outline.high[:-1])
    together = (outline.left[1:] < outline.right[:-1]) & (outline.left[:-1] < outline.right[1:])
    begins = [0, *(np.flatnonzero(~(on_top & together)) + 1).tolist(), len(outline.low)]
    return (slice(first, last) for first, last in pairwise(begins))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def outline_room(outline: Outline, length: float, upright: bool) -> tuple[float, float] | None:
    """The middle (x, height) of the best place for a line of text inside of the outline: with most room around it."""
    best_across, best = _LINE, None
    for bars in _pieces(outline):
        low, high, left, right = (part[bars] for part in (outline.low, outline.high, outline.left, outline.right))
        extent = (high[-1] - low[0], right.max() - left.min())
        if (extent[0] if upright else extent[1]) < length or min(extent) < best_across:
            continue
        for first in range(0, len(low), max(len(low) // 60, 1)):
            # Bars from `first` on: what is inside of all of them, the more the higher and the narrower.
            inner_left, inner_right = np.maximum.accumulate(left[first:]), np.minimum.accumulate(right[first:])
            heights, widths = high[first:] - low[first], inner_right - inner_left
            along, across = (heights, widths) if upright else (widths, heights)
            fitting = np.where(along >= length, across, 0.0)
            index = int(fitting.argmax())
            if fitting[index] > best_across:
                best_across = float(fitting[index])
                best = (float(inner_left[index] + inner_right[index]) / 2, float(low[first] + heights[index] / 2))
    return best

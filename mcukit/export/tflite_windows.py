# SPDX-License-Identifier: Apache-2.0
"""How a window of TFLite slides over a part of a map so that the pixels that are needed come out right."""

from __future__ import annotations

__all__ = ["WindowFit", "fit_pad", "fit_window"]

from collections.abc import Iterator
from dataclasses import dataclass

from mcukit.graph.region import Region
from mcukit.ops.window import Window

Span = tuple[int, int]
"""Rows or columns [first, last) of a map."""

Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class WindowFit:
    """pads: (top, left, bottom, right) of the part. region: of the output map, what comes out, right or wrong."""

    pads: Pads
    region: Region


def fit_window(
    window: Window, held: Region, needed: Region, outputs: tuple[int, int], *, may_pad: bool
) -> WindowFit | None:
    """Pads for `held`, a part of the input that has all that `needed` of the output reads; None if there are none.

    TFLite's VALID and SAME come first, for they cost nothing. outputs: rows and columns of the whole output map, beyond
    which nothing comes out. may_pad: whether pixels may be added in front of the window, because padding counts.
    """
    for pads in _choices(window, held, needed, may_pad):
        spans = []
        for axis in (0, 1):
            span = _outputs(window, axis, pads, _span(held, axis))
            wanted = _span(needed, axis)
            if span is None or span[0] > wanted[0] or span[1] < wanted[1] or span[1] > outputs[axis]:
                break
            spans.append(span)
        else:
            (first_row, last_row), (first_column, last_column) = spans
            return WindowFit(pads, Region(first_row, last_row, first_column, last_column))
    return None


def fit_pad(pads: Pads, held: Region, needed: Region) -> WindowFit:
    """The pads of a part under an operator that pads the map with `pads`; outside of the map there is only padding."""
    (top, bottom), (left, right) = (
        _missing(
            (_span(needed, axis)[0] - pads[axis], _span(needed, axis)[1] - pads[axis]),
            _span(held, axis),
        )
        for axis in (0, 1)
    )
    region = Region(
        held.first_row - top + pads[0],
        held.last_row + bottom + pads[0],
        held.first_column - left + pads[1],
        held.last_column + right + pads[1],
    )
    return WindowFit((top, left, bottom, right), region)


def _choices(window: Window, held: Region, needed: Region, may_pad: bool) -> Iterator[Pads]:
    yield 0, 0, 0, 0
    yield window.same_pads(held.rows, held.columns)
    if may_pad:
        (top, bottom), (left, right) = (_exact(window, axis, _span(held, axis), _span(needed, axis)) for axis in (0, 1))
        yield top, left, bottom, right


def _exact(window: Window, axis: int, held: Span, needed: Span) -> Span:
    """Padding before and after a part that puts the taps of what is needed where they belong."""
    reach = window.reach(*needed, axis)
    before, after = _missing(reach, held)
    if not before:
        # The part begins earlier than needed, perhaps in the middle of a stride.
        before = (held[0] - reach[0]) % window.stride[axis]
    return before, after


def _missing(wanted: Span, held: Span) -> Span:
    return max(held[0] - wanted[0], 0), max(wanted[1] - held[1], 0)


def _outputs(window: Window, axis: int, pads: Pads, held: Span) -> Span | None:
    """Rows or columns of the output map that a padded part gives; None where it stands between two strides."""
    start = held[0] - pads[axis] + window.pads[axis]
    padded = held[1] - held[0] + pads[axis] + pads[axis + 2]
    count = (padded - window.span(axis)) // window.stride[axis] + 1
    if start < 0 or start % window.stride[axis] or count < 1:
        return None
    first = start // window.stride[axis]
    return first, first + count


def _span(region: Region, axis: int) -> Span:
    return (region.first_column, region.last_column) if axis else (region.first_row, region.last_row)

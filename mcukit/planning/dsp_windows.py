# SPDX-License-Identifier: Apache-2.0
"""How DSP convolutions take their pixels and gather the windows of these: mk_conv2d_dsp_windows.c."""

from __future__ import annotations

__all__ = ["PIXELS", "WINDOWS", "WindowCounter", "window_counter"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.window import Window
from mcukit.planning.feature_counting import WORD, expect, input_map, spans, window_axes
from mcukit.quantized.integer import Layer

PIXELS = 3
"""Windows that are multiplied at a time."""

WINDOWS = (
    "calls",
    "rows",
    "inner_blocks",
    "mixed_blocks",
    "single_pixels",
    "expanded_runs",
    "expanded_words",
    "expanded_bytes",
    "copied_runs",
    "copied_words",
    "filled_rows",
    "border_rows",
    "border_columns",
    "border_words",
    "border_bytes",
)
"""expanded_words: four values of three pixels each; expanded_bytes: what is left over of a row."""


@dataclass(frozen=True)
class _Blocks:
    """How a call takes its pixels: threes of inner ones side by side, others, and whether a single one is left over."""

    inner: int
    mixed: int
    single: int


def _block_counter(window: Window, width: int, groups: int) -> Callable[[Region, int], _Blocks]:
    """Counts the blocks of a region of the output, whose rows calls share as equally as they can.

    width: of the input, or 0 where no window can be read where it lies.
    """

    @cache
    def row(first: int, last: int, waiting: int) -> tuple[int, int, int]:
        """A row's (inner blocks, mixed blocks, pixels that wait behind it). waiting: those before it."""
        places = np.arange(first, last) * window.stride[1] - window.pads[1]
        reach = (window.kernel[1] - 1) * window.dilation[1]
        is_inner = (places >= 0) & (places + reach < width)
        inner = mixed = column = 0
        while column < len(places):
            end = column + PIXELS
            if waiting == 0 and end <= len(places) and is_inner[column] and is_inner[end - 1]:
                inner, column = inner + 1, end
                continue
            waiting, column = waiting + 1, column + 1
            if waiting == PIXELS:
                mixed, waiting = mixed + 1, 0
        return inner, mixed, waiting

    @cache
    def call(rows: int, first: int, last: int) -> _Blocks:
        inner = mixed = waiting = 0
        for _ in range(rows):
            more_inner, more_mixed, waiting = row(first, last, waiting)
            inner, mixed = inner + more_inner, mixed + more_mixed
        return _Blocks(inner, mixed + (waiting > 1), int(waiting == 1))

    def count(region: Region, calls: int) -> _Blocks:
        # With several groups a row shares no block with the next one, as if each were computed in a call of its own.
        working = min(calls if groups == 1 else region.rows, region.rows)
        rows, longer = divmod(region.rows, working)
        shorts = call(rows, region.first_column, region.last_column)
        longs = call(rows + 1, region.first_column, region.last_column) if longer else _Blocks(0, 0, 0)
        return _Blocks(
            (working - longer) * shorts.inner + longer * longs.inner,
            (working - longer) * shorts.mixed + longer * longs.mixed,
            (working - longer) * shorts.single + longer * longs.single,
        )

    return count


WindowCounter = Callable[[Region, int], tuple[int, int, tuple[int, ...]]]
"""(region, calls) -> blocks of three pixels and single pixels, of all groups together, and the counts of WINDOWS."""


def window_counter(
    layer: Layer, graph: Graph, depth: int, bytes_of_four: int, *, is_taken: bool = False
) -> WindowCounter:
    """Windows of three pixels are expanded row by row, or, if their rows don't fill words, as copies of whole windows.

    A row that is not inside of the map is copied before, column by column. depth: bytes of a group in a pixel of a
    window; bytes_of_four: of four values; is_taken: whether these bytes are made of other ones, column by column.
    """
    operator = expect(layer.node.operator, Conv2d)
    window, row_sums, column_sums = window_axes(layer, graph)
    width, groups = input_map(layer, graph)[1], operator.groups
    kernel_rows, kernel_columns = window.kernel
    segment = kernel_columns * depth
    is_copied = segment % bytes_of_four != 0 and kernel_rows != 1
    in_one_piece = not is_taken and (kernel_columns == 1 or (window.dilation[1] == 1 and groups == 1))
    blocks = _block_counter(window, width if in_one_piece else 0, groups)
    fours = -(-kernel_rows * segment // bytes_of_four)

    def count(region: Region, calls: int) -> tuple[int, int, tuple[int, ...]]:
        found = blocks(region, calls)
        row_span, column_span = spans(region)
        threes, singles = (found.inner + found.mixed) * groups, found.single * groups
        gathered = threes + singles
        inner = column_sums.whole_of(*column_span) if in_one_piece else 0
        existing = row_sums.taps_of(*row_span)
        # Rows that don't exist are filled, once for three inner pixels; of those that do, border columns are copied.
        filled = (region.rows * kernel_rows - existing) * region.columns * groups
        border = existing * (region.columns - inner) * groups
        if is_taken:
            # The last pixel of a block that is not full is taken for those that are missing too.
            border += (gathered * PIXELS - region.pixels * groups) * kernel_rows
        border_columns = border * kernel_columns
        counts = (
            calls,
            region.rows,
            found.inner * groups,
            found.mixed * groups,
            singles,
            gathered * (1 if is_copied else kernel_rows),
            gathered * fours,
            0 if is_copied else gathered * kernel_rows * (segment % bytes_of_four),
            gathered * kernel_rows if is_copied else 0,
            gathered * kernel_rows * -(-segment // WORD) if is_copied else 0,
            filled,
            border,
            border_columns,
            0 if depth < WORD else border_columns * -(-depth // WORD),
            border_columns * depth if depth < WORD else 0,
        )
        return threes, singles, counts

    return count

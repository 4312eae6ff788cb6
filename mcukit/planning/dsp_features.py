# SPDX-License-Identifier: Apache-2.0
"""What the instructions of DSP kernels depend on, as mcukit.planning.kernel_features says of others."""

from __future__ import annotations

__all__ = ["DSP_FEATURES"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.window import Window
from mcukit.planning.depthwise_dsp_features import DEPTHWISE_DSP_FEATURES
from mcukit.planning.feature_counting import (
    WORD,
    Counter,
    KernelFeatures,
    expect,
    input_map,
    output_map,
    spans,
    window_axes,
)
from mcukit.quantized.integer import Layer

_PIXELS = 3
"""Windows that a convolution multiplies at a time."""

_FOURS_A_TURN = 8
"""The multiplying loop of a convolution takes so many times four taps a turn."""

_CHANNELS = 4
"""Filters that meet a single pixel together."""


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
            end = column + _PIXELS
            if waiting == 0 and end <= len(places) and is_inner[column] and is_inner[end - 1]:
                inner, column = inner + 1, end
                continue
            waiting, column = waiting + 1, column + 1
            if waiting == _PIXELS:
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


_CONV2D = (
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
    "filter_pairs",
    "pair_fours",
    "pair_turns",
    "lone_filters",
    "lone_fours",
    "single_filters",
    "single_fours",
)


def _conv2d(layer: Layer, graph: Graph) -> Counter:
    """Three pixels and two filters at a time, group by group.

    Windows of three pixels are expanded row by row, or, if their rows don't fill words, as copies of the whole windows.
    A row that is not inside of the map is copied before, column by column. Taps are multiplied four at a time.
    """
    operator = expect(layer.node.operator, Conv2d)
    window, row_sums, column_sums = window_axes(layer, graph)
    width, channels = input_map(layer, graph)[1:]
    groups, depth = operator.groups, channels // operator.groups
    filters = output_map(layer, graph)[2] // groups
    kernel_rows, kernel_columns = window.kernel
    segment = kernel_columns * depth
    fours = -(-kernel_rows * segment // WORD)
    turns = max(1, -(-(fours - 1) // _FOURS_A_TURN))
    is_copied = segment % WORD != 0 and kernel_rows != 1
    in_one_piece = kernel_columns == 1 or (window.dilation[1] == 1 and groups == 1)
    blocks = _block_counter(window, width if in_one_piece else 0, groups)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        found = blocks(region, calls)
        row_span, column_span = spans(region)
        threes, singles = (found.inner + found.mixed) * groups, found.single * groups
        gathered = threes + singles
        inner = column_sums.whole_of(*column_span) if in_one_piece else 0
        existing = row_sums.taps_of(*row_span)
        # Rows that don't exist are filled, once for three inner pixels; of those that do, border columns are copied.
        filled = (region.rows * kernel_rows - existing) * region.columns * groups
        border = existing * (region.columns - inner) * groups
        border_columns = border * kernel_columns
        pairs = threes * (filters // 2)
        return (
            calls,
            region.rows,
            found.inner * groups,
            found.mixed * groups,
            singles,
            gathered * (1 if is_copied else kernel_rows),
            gathered * fours,
            0 if is_copied else gathered * kernel_rows * (segment % WORD),
            gathered * kernel_rows if is_copied else 0,
            gathered * kernel_rows * -(-segment // WORD) if is_copied else 0,
            filled,
            border,
            border_columns,
            0 if depth < WORD else border_columns * -(-depth // WORD),
            border_columns * depth if depth < WORD else 0,
            pairs,
            pairs * fours,
            pairs * turns,
            threes * (filters % 2),
            threes * (filters % 2) * fours,
            singles * filters,
            singles * -(-filters // _CHANNELS) * fours,
        )

    return count


def _fully_connected(layer: Layer, graph: Graph) -> Counter:
    """All of the input, row by row, for four filters at a time; filters that are left over one by one."""
    height, width, depth = input_map(layer, graph)
    filters = output_map(layer, graph)[2]
    fours, lone = divmod(filters, _CHANNELS)
    words, bytes_left = divmod(width * depth, WORD)

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return (
            calls,
            filters,
            fours * height,
            fours * height * words,
            fours * height * bytes_left,
            lone * height,
            lone * height * words,
            lone * height * bytes_left,
        )

    return count


def _add(layer: Layer, graph: Graph) -> Counter:
    """Row by row, four values at a time, then those that are left over."""
    channels = output_map(layer, graph)[2]

    def count(region: Region, calls: int) -> tuple[int, ...]:
        words, left = divmod(region.columns * channels, WORD)
        return calls, region.rows, region.rows * words, region.rows * left

    return count


DSP_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_add_s8_dsp": KernelFeatures(("calls", "rows", "words", "lone_values"), _add),
        "mk_conv2d_s8_dsp": KernelFeatures(_CONV2D, _conv2d),
        **DEPTHWISE_DSP_FEATURES,
        "mk_fully_connected_s8_dsp": KernelFeatures(
            (
                "calls",
                "filters",
                "four_filter_rows",
                "four_filter_words",
                "four_filter_bytes",
                "lone_filter_rows",
                "lone_filter_words",
                "lone_filter_bytes",
            ),
            _fully_connected,
        ),
    }
)
"""By kernel function."""

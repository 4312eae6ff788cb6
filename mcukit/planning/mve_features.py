# SPDX-License-Identifier: Apache-2.0
"""What the instructions of MVE kernels depend on, as mcukit.planning.kernel_features says of others."""

from __future__ import annotations

__all__ = ["MVE_FEATURES"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.window import Window
from mcukit.planning.feature_counting import (
    Counter,
    KernelFeatures,
    expect,
    input_map,
    output_map,
    spans,
    window_axes,
)
from mcukit.quantized.integer import Layer

_BYTES = 16
"""Of a vector."""

_PIXELS = 3
"""Windows that a convolution multiplies at a time."""

_FILTERS = 4
"""Filters that are multiplied at a time."""


def _vectors(values: int) -> int:
    """How many vectors of bytes hold so many values."""
    return -(-values // _BYTES)


_CONV2D = (
    "calls",
    "shift_vectors",
    "row_groups",
    "threes",
    "short_blocks",
    "blocks",
    "block_vectors",
    "singles",
    "single_fours",
    "single_vectors",
    "gathered_threes",
    "gathered_singles",
    "copied_rows_of_three",
    "copied_vectors_of_three",
    "copied_rows",
    "copied_vectors",
    "filled_rows",
    "filled_vectors",
    "border_rows",
    "border_columns",
    "border_vectors",
)


def _conv2d(layer: Layer, graph: Graph) -> Counter:
    """Three pixels and four filters at a time, group by group; what is left of a row, and of filters, pixel by pixel.

    Windows are gathered row by row, unless all windows of a row of the output are runs of bytes in the map.
    """
    operator = expect(layer.node.operator, Conv2d)
    window, row_sums, column_sums = window_axes(layer, graph)
    width, channels = input_map(layer, graph)[1:]
    groups, depth = operator.groups, channels // operator.groups
    outputs = output_map(layer, graph)[2]
    filters = outputs // groups
    kernel_rows, kernel_columns = window.kernel
    taps, row_taps = kernel_rows * kernel_columns * depth, kernel_columns * depth
    are_runs = kernel_columns == 1 or (window.dilation[1] == 1 and groups == 1)
    whole_fours, lone = divmod(filters, _FILTERS)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        rows, existing = region.rows, row_sums.taps_of(*row_span)
        missing = rows * kernel_rows - existing
        inside = column_sums.whole_of(*column_span) == region.columns
        in_map = existing if are_runs and kernel_rows == 1 and inside else 0
        gathered = (rows - in_map) * groups
        threes, singles = divmod(region.columns, _PIXELS)
        inner_threes, inner_singles = _in_one_piece(window, width, *column_span) if are_runs else (0, 0)
        read = (existing - in_map) * groups
        border = read * (_PIXELS * (threes - inner_threes) + singles - inner_singles)
        filled = missing * groups * region.columns
        blocks = rows * groups * threes * whole_fours
        ones = rows * groups * (singles * -(-filters // _FILTERS) + (_PIXELS * threes if lone else 0))
        is_short = taps <= _BYTES
        return (
            calls,
            calls * _vectors(outputs),
            rows * groups,
            rows * groups * threes,
            blocks if is_short else 0,
            0 if is_short else blocks,
            0 if is_short else blocks * _vectors(taps),
            rows * groups * (singles + (_PIXELS * threes if lone else 0)),
            ones,
            ones * _vectors(taps),
            gathered * threes,
            gathered * singles,
            read * inner_threes,
            read * inner_threes * _vectors(row_taps),
            read * inner_singles,
            read * inner_singles * _vectors(row_taps),
            filled,
            filled * _vectors(row_taps),
            border,
            border * kernel_columns,
            border * kernel_columns * _vectors(depth),
        )

    return count


@cache
def _in_one_piece(window: Window, width: int, first: int, last: int) -> tuple[int, int]:
    """Of the threes and the single pixels of a row those whose windows have all of their columns in the map."""
    threes = (last - first) // _PIXELS
    left = np.arange(first, last) * window.stride[1] - window.pads[1]
    reach = (window.kernel[1] - 1) * window.dilation[1]
    begins, ends = left >= 0, left + reach < width
    of_three = begins[: _PIXELS * threes : _PIXELS] & ends[_PIXELS - 1 : _PIXELS * threes : _PIXELS]
    single = begins[_PIXELS * threes :] & ends[_PIXELS * threes :]
    return int(of_three.sum()), int(single.sum())


@dataclass(frozen=True)
class _Row:
    """How a row of some channels is computed: vectors of inner pixels in runs, and border pixels.

    pairs, ones: taps of the border pixels' rows that exist, two by two and alone.
    """

    runs: int
    inner: int
    border: int
    pairs: int
    ones: int


@cache
def _row(window: Window, width: int, together: int, first: int, last: int) -> _Row:
    stride, dilation, columns = window.stride[1], window.dilation[1], window.kernel[1]
    reach = (columns - 1) * dilation
    runs = inner = border = pairs = ones = 0
    column = first
    while column < last:
        left = column * stride - window.pads[1]
        room = 0 if left < 0 or left + reach >= width else (width - 1 - left - reach) // stride + 1
        vectors = min(room, last - column) // together
        if vectors:
            runs, inner, column = runs + 1, inner + vectors, column + vectors * together
            continue
        begin = min(-(left // dilation) if left < 0 else 0, columns)
        end = max(begin, min(-((left - width) // dilation) if left < width else 0, columns))
        parts = (begin, end - begin, columns - end) if begin < end else (columns,)
        border, column = border + 1, column + 1
        pairs, ones = pairs + sum(part // 2 for part in parts), ones + sum(part % 2 for part in parts)
    return _Row(runs, inner, border, pairs, ones)


_DEPTHWISE_CONV2D = (
    "calls",
    "shift_vectors",
    "rows",
    "full_records",
    "full_record_taps",
    "partial_records",
    "partial_record_copies",
    "parts",
    "runs",
    "fast_vectors",
    "vectors_3x3",
    "vectors",
    "vector_rows",
    "vector_pairs",
    "vector_ones",
    "border_3x3",
    "border_pixels",
    "border_rows",
    "border_pairs",
    "border_ones",
)


def _depthwise_conv2d(layer: Layer, graph: Graph) -> Counter:
    """16 channels of a row at a time, pixel by pixel; of fewer channels as many pixels as fill a vector.

    Fast are kernels of 3x3 with all lanes, where all rows exist. Taps are multiplied two by two, those of a row but of
    kernels of 3x3 across rows.
    """
    window, row_sums, _ = window_axes(layer, graph)
    _, width, channels = input_map(layer, graph)
    kernel_rows, kernel_columns = window.kernel
    kernel_taps = kernel_rows * kernel_columns
    full, rest = divmod(channels, _BYTES)
    blocks = full + (rest > 0)
    together = _BYTES // channels if window.stride[1] == 1 and channels < _BYTES else 1
    is_3x3 = window.kernel == (3, 3)
    blocks_of_all_lanes = 1 if channels * together == _BYTES else full

    def count(region: Region, calls: int) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        rows = region.rows
        found = _row(window, width, together, *column_span)
        whole = row_sums.whole_of(*row_span)
        fast = whole * found.inner * blocks_of_all_lanes if is_3x3 else 0
        others = rows * found.inner * blocks - fast
        slow = 0 if is_3x3 else others
        fills = calls if blocks == 1 else rows
        border = rows * found.border * blocks
        existing = row_sums.taps_of(*row_span) * blocks
        missing = rows * kernel_rows * blocks - existing
        any_border = 0 if is_3x3 else 1
        return (
            calls,
            calls * _vectors(channels),
            rows,
            fills * full,
            fills * full * kernel_taps,
            fills * (rest > 0),
            fills * kernel_taps * (_BYTES // rest) if rest else 0,
            rows * blocks,
            rows * blocks * found.runs,
            fast,
            others if is_3x3 else 0,
            slow,
            slow * kernel_rows,
            slow * kernel_rows * (kernel_columns // 2),
            slow * kernel_rows * (kernel_columns % 2),
            border if is_3x3 else 0,
            any_border * border,
            any_border * border * kernel_rows,
            any_border * (existing * found.pairs + missing * found.border * (kernel_columns // 2)),
            any_border * (existing * found.ones + missing * found.border * (kernel_columns % 2)),
        )

    return count


def _fully_connected(layer: Layer, graph: Graph) -> Counter:
    """All of the input, row by row, for four filters at a time."""
    height, width, depth = input_map(layer, graph)
    filters = output_map(layer, graph)[2]
    fours = -(-filters // _FILTERS)

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return (
            calls,
            calls * _vectors(filters),
            fours,
            fours * height,
            fours * height * _vectors(width * depth),
        )

    return count


MVE_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_conv2d_s8_mve": KernelFeatures(_CONV2D, _conv2d),
        "mk_depthwise_conv2d_s8_mve": KernelFeatures(_DEPTHWISE_CONV2D, _depthwise_conv2d),
        "mk_fully_connected_s8_mve": KernelFeatures(
            ("calls", "shift_vectors", "fours", "four_rows", "four_vectors"), _fully_connected
        ),
    }
)
"""By kernel function."""

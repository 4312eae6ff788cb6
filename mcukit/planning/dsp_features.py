# SPDX-License-Identifier: Apache-2.0
"""What the instructions of DSP kernels depend on, as mcukit.planning.kernel_features says of others."""

from __future__ import annotations

__all__ = ["BYTE_FILTERS", "DSP_FEATURES", "byte_filters"]

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import any_dsp_columns, dsp_columns
from mcukit.planning.dsp_windows import WINDOWS, window_counter
from mcukit.planning.feature_counting import (
    WORD,
    Counter,
    KernelFeatures,
    expect,
    input_map,
    output_map,
    window_axes,
)
from mcukit.quantized.integer import Layer

_FOURS_A_TURN = 8
"""The multiplying loop of a convolution takes so many times four taps a turn."""

_CHANNELS = 4
"""Channels of a depthwise convolution that are computed together, and filters that meet a single pixel together."""


_OUTPUTS = 4
"""Outputs of a channel that a depthwise convolution of any kernel computes at a time."""

_STRIDES_WITH_LOOPS = 2
"""The largest stride for which usual kernels have loops of their own."""


BYTE_FILTERS = (
    "filter_pairs",
    "pair_fours",
    "pair_turns",
    "lone_filters",
    "lone_fours",
    "single_filters",
    "single_fours",
)


def byte_filters(filters: int, fours: int, threes: int, singles: int) -> tuple[int, ...]:
    """How so many filters of 8 bits in a group meet three pixels at a time, and single pixels: BYTE_FILTERS.

    Taps are multiplied four at a time, by two filters; fours: of taps.
    """
    turns = max(1, -(-(fours - 1) // _FOURS_A_TURN))
    pairs = threes * (filters // 2)
    return (
        pairs,
        pairs * fours,
        pairs * turns,
        threes * (filters % 2),
        threes * (filters % 2) * fours,
        singles * filters,
        singles * -(-filters // _CHANNELS) * fours,
    )


def _conv2d(layer: Layer, graph: Graph) -> Counter:
    """Three pixels and two filters at a time, group by group."""
    groups = expect(layer.node.operator, Conv2d).groups
    depth = input_map(layer, graph)[2] // groups
    filters = output_map(layer, graph)[2] // groups
    window, _, _ = window_axes(layer, graph)
    fours = -(-window.kernel[0] * window.kernel[1] * depth // WORD)
    windows = window_counter(layer, graph, depth, WORD)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        threes, singles, counts = windows(region, calls)
        return *counts, *byte_filters(filters, fours, threes, singles)

    return count


_DEPTHWISE_CONV2D = (
    "calls",
    "rows",
    "parts",
    "blocks",
    "lines",
    "line_turns_1",
    "line_turns_2",
    "odd_lines",
    "records",
    "border_runs",
    "border_records",
    "few_channel_records",
)


def _depthwise_conv2d(layer: Layer, graph: Graph) -> Counter:
    """Four channels of a part of a row at a time: records of two columns each, then each channel's line of outputs."""
    window, _, _ = window_axes(layer, graph)
    _, width, channels = input_map(layer, graph)
    stride, pad = window.stride[1], window.pads[1]
    blocks = -(-channels // _CHANNELS)
    lines = min(channels, blocks * _CHANNELS) if channels < _CHANNELS else blocks * _CHANNELS
    middle = _middle_rows(layer, graph)

    @cache
    def of_columns(first: int, last: int) -> tuple[int, int, int, int, int, int]:
        """A row's (parts, turns, turns for an odd output, records that are made together, runs of others, these)."""
        parts = turns = odd = together = runs = others = 0
        most = dsp_columns(last - first, stride)
        for start in range(first, last, most):
            outputs = min(most, last - start)
            left = start * stride - pad
            limit = left + (outputs - 1) * stride + 3
            made = _made_together(left, limit, width)
            needed = -(-(limit - left) // 2)
            parts += 1
            turns += -(-outputs // 2)
            odd += outputs % 2 if outputs > 1 else 0
            together += made
            runs += made < needed
            others += needed - made
        return parts, turns, odd, together, runs, others

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = region.rows
        parts, turns, odd, together, runs, others = of_columns(region.first_column, region.last_column)
        usual = middle[region.last_row] - middle[region.first_row] if channels >= _CHANNELS else 0
        unusual = rows - usual
        records = rows * others + unusual * together
        return (
            calls,
            rows,
            rows * parts,
            rows * parts * blocks,
            rows * parts * lines,
            rows * turns * lines if stride == 1 else 0,
            rows * turns * lines if stride != 1 else 0,
            rows * odd * lines,
            usual * together * blocks,
            (usual * runs + unusual * parts) * blocks,
            records * blocks if channels >= _CHANNELS else 0,
            records * blocks if channels < _CHANNELS else 0,
        )

    return count


def _middle_rows(layer: Layer, graph: Graph) -> tuple[int, ...]:
    """At index n, of the first n output rows those whose middle input row and one more exist."""
    window, _, _ = window_axes(layer, graph)
    height = input_map(layer, graph)[0]
    first = np.arange(output_map(layer, graph)[0]) * window.stride[0] - window.pads[0]
    rows = [first + n * window.dilation[0] for n in range(3)]
    upper, middle, lower = ((row >= 0) & (row < height) for row in rows)
    return (0, *np.cumsum(middle & (upper | lower)).tolist())


def _made_together(left: int, limit: int, width: int) -> int:
    """Records of columns from `left` on that are made in one go: half of the first may be missing, and the last one."""
    last = min(limit, width)
    first = left + 2 if left < 0 else left
    if left < -1 or first > last:
        return 0
    made = (left < 0) + (last - first) // 2 + (last - first) % 2
    return made + ((last - first) % 2 == 0 and left + 2 * made < limit)


_ANY_DEPTHWISE = (
    "calls",
    "rows",
    "blocks",
    "paired_rows",
    "paired_columns",
    "few_channel_columns",
    "taps",
    "few_channel_taps",
    "lines",
    "turns",
    "last_outputs",
    "pairs",
    "columns_of_5",
    "columns_of_7",
    "other_columns",
)


def _any_depthwise(layer: Layer, graph: Graph) -> Counter:
    """Four channels of a part of a row at a time: two rows of the input are paired, then four outputs take a turn.

    In a turn every pair of rows of the kernel is multiplied column by column; 5 and 7 columns have loops of their own.
    """
    window, _, _ = window_axes(layer, graph)
    channels = input_map(layer, graph)[2]
    stride, width = window.stride[1], window.kernel[1]
    pairs = -(-window.kernel[0] // 2)
    blocks = -(-channels // _CHANNELS)
    lines = channels if channels < _CHANNELS else blocks * _CHANNELS
    has_own_loop = window.dilation[1] == 1 and stride <= _STRIDES_WITH_LOOPS

    @cache
    def of_columns(first: int, last: int) -> tuple[int, int, int, int]:
        """A row's (parts, columns that are paired, turns of four outputs, outputs of shorter turns)."""
        parts = paired = turns = rest = 0
        most = any_dsp_columns(last - first, stride)
        for start in range(first, last, most):
            outputs = min(most, last - start)
            rounded = -(-outputs // _OUTPUTS)
            parts += 1
            paired += (rounded * _OUTPUTS - 1) * stride + window.span(1)
            turns += rounded
            rest += outputs % _OUTPUTS
        return parts, paired, turns, rest

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = region.rows
        parts, paired, turns, rest = of_columns(region.first_column, region.last_column)
        columns = rows * paired * blocks * pairs
        taps = rows * parts * blocks * pairs * width
        multiplied = rows * turns * lines * pairs
        is_few = channels < _CHANNELS
        return (
            calls,
            rows,
            rows * parts * blocks,
            rows * parts * blocks * pairs,
            0 if is_few else columns,
            columns if is_few else 0,
            0 if is_few else taps,
            taps if is_few else 0,
            rows * parts * lines,
            rows * turns * lines,
            rows * rest * lines,
            multiplied,
            multiplied if has_own_loop and width == 5 else 0,
            multiplied if has_own_loop and width == 7 else 0,
            0 if has_own_loop and width in {5, 7} else multiplied * width,
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
        "mk_conv2d_s8_dsp": KernelFeatures((*WINDOWS, *BYTE_FILTERS), _conv2d),
        "mk_depthwise_conv2d_s8_dsp": KernelFeatures(_DEPTHWISE_CONV2D, _depthwise_conv2d),
        "mk_depthwise_conv2d_any_s8_dsp": KernelFeatures(_ANY_DEPTHWISE, _any_depthwise),
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

# SPDX-License-Identifier: Apache-2.0
"""What the instructions of DSP kernels depend on, as mcukit.planning.kernel_features says of others."""

from __future__ import annotations

__all__ = ["BYTE_FILTERS", "DSP_FEATURES", "byte_filters"]

from collections.abc import Mapping
from types import MappingProxyType

from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.planning.depthwise_dsp_features import DEPTHWISE_DSP_FEATURES
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
from mcukit.planning.pool_dsp_features import POOL_DSP_FEATURES
from mcukit.quantized.integer import Layer

_FOURS_A_TURN = 8
"""The multiplying loop of a convolution takes so many times four taps a turn."""

_CHANNELS = 4
"""Filters that meet a single pixel together."""


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


def _mul(layer: Layer, graph: Graph) -> Counter:
    """As _add, or pixel by pixel where an operand broadcasts along columns."""
    _, width, channels = output_map(layer, graph)
    kernel = layer.kernel
    constants = () if kernel is None else kernel.constant_maps
    widths = [map_shape(graph.tensors[name].shape)[1] for name in layer.inputs] + [shape[1] for *_, shape in constants]
    is_flat = all(each == width for each in widths)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        runs, length = (region.rows, region.columns * channels) if is_flat else (region.pixels, channels)
        words, left = divmod(length, WORD)
        return calls, region.rows, runs, runs * words, runs if left else 0, runs * left

    return count


DSP_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_add_s8_dsp": KernelFeatures(("calls", "rows", "words", "lone_values"), _add),
        "mk_conv2d_s8_dsp": KernelFeatures((*WINDOWS, *BYTE_FILTERS), _conv2d),
        **DEPTHWISE_DSP_FEATURES,
        "mk_mul_s8_dsp": KernelFeatures(("calls", "rows", "runs", "words", "left_overs", "lone_values"), _mul),
        **POOL_DSP_FEATURES,
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

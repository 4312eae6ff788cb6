# SPDX-License-Identifier: Apache-2.0
"""What the instructions of a kernel call depend on: for each kernel, counts of the work that its C code does.

A count is exact: it follows from the loops of the C file. What one unit of it takes is measured, for each target, by
benchmarks/kernels.py. Whoever changes the loops of a kernel changes its entry here and runs that again.

Those of DSP kernels are in dsp_features.py, pool_dsp_features.py and packed_dsp_features.py, those of MVE kernels in
mve_features.py, and those of kernels for packed maps and weights in packed_filter_features.py and
packed_map_features.py.
"odd" bytes are those that memcpy can't move word by word, because pixels don't start on words.
"""

from __future__ import annotations

__all__ = ["KERNEL_FEATURES"]

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.pad import Pad
from mcukit.planning.dsp_features import DSP_FEATURES
from mcukit.planning.feature_counting import (
    WORD,
    Counter,
    KernelFeatures,
    aligned_and_odd,
    common_step,
    expect,
    input_map,
    output_map,
    overlap,
    spans,
    window_axes,
)
from mcukit.planning.mve_features import MVE_FEATURES
from mcukit.planning.packed_dsp_features import PACKED_DSP_FEATURES
from mcukit.planning.packed_filter_features import PACKED_FILTER_FEATURES
from mcukit.planning.packed_map_features import PACKED_MAP_FEATURES
from mcukit.quantized.integer import Layer


def _conv2d(layer: Layer, graph: Graph) -> Counter:
    """Two pixels and two filters at a time, group by group; a lone last pixel takes as much as a pair.

    Windows are gathered row by row unless they are single pixels; where a row of a window reaches over the border, is
    dilated or holds other groups too, its columns are gathered one by one. Taps are multiplied four a turn.
    """
    operator = expect(layer.node.operator, Conv2d)
    window, row_sums, column_sums = window_axes(layer, graph)
    groups, depth = operator.groups, input_map(layer, graph)[2] // operator.groups
    filters = output_map(layer, graph)[2] // groups
    kernel_rows, kernel_columns = window.kernel
    taps = kernel_rows * kernel_columns * depth
    direct = window.kernel == (1, 1) and groups == 1 and window.is_valid()
    in_one_piece = window.dilation[1] == 1 and groups == 1
    aligned = depth % WORD == 0

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows, columns = region.rows, region.columns
        gathers = 0 if direct else rows * columns * groups
        whole = column_sums.whole_of(region.first_column, region.last_column) if in_one_piece else 0
        inside = row_sums.taps_of(region.first_row, region.last_row)
        pieces = inside * (columns - whole) * kernel_columns * groups
        turns = rows * -(-columns // 2) * groups
        filter_pairs, lone_filters = turns * (filters // 2), turns * (filters % 2)
        gathered_bytes = gathers * taps
        return (
            calls,
            rows,
            turns,
            gathers,
            gathers * kernel_rows,
            0 if direct else pieces,
            gathered_bytes if aligned else 0,
            0 if aligned else gathered_bytes,
            filter_pairs,
            filter_pairs * (taps // 4),
            filter_pairs * (taps % 4),
            lone_filters,
            lone_filters * taps,
        )

    return count


def _depthwise_conv2d(layer: Layer, graph: Graph) -> Counter:
    """3x3 windows inside of the map are unrolled ("inner"); any other pixel ("border") is computed tap by tap."""
    window, row_sums, column_sums = window_axes(layer, graph)
    channels = output_map(layer, graph)[2]
    kernel_taps = window.kernel[0] * window.kernel[1]
    unrolled = window.kernel == (3, 3) and channels == input_map(layer, graph)[2]

    def count(region: Region, calls: int) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        inner = row_sums.whole_of(*row_span) * column_sums.whole_of(*column_span) if unrolled else 0
        border = region.pixels - inner
        inside = row_sums.taps_of(*row_span) * column_sums.taps_of(*column_span) - inner * kernel_taps
        return (
            calls,
            region.rows,
            inner,
            inner * channels,
            border,
            border * channels,
            border * kernel_taps,
            inside * channels,
            (border * kernel_taps - inside) * channels,
        )

    return count


def _pool(layer: Layer, graph: Graph) -> Counter:
    """The part of each window that lies inside of the map, pixel by pixel."""
    _, row_sums, column_sums = window_axes(layer, graph)
    channels = output_map(layer, graph)[2]

    def count(region: Region, calls: int) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        window_rows = row_sums.taps_of(*row_span)
        taps = window_rows * column_sums.taps_of(*column_span)
        pixels = region.pixels
        return (
            calls,
            region.rows,
            pixels,
            pixels * channels,
            window_rows * region.columns,
            taps,
            taps * channels,
        )

    return count


def _elementwise(layer: Layer, graph: Graph) -> Counter:
    """Value by value; rows of operands that don't broadcast are one pixel each."""
    kernel = layer.kernel
    constants = () if kernel is None else kernel.constant_maps
    operands = [map_shape(graph.tensors[name].shape) for name in layer.inputs] + [shape for *_, shape in constants]
    _, width, channels = output_map(layer, graph)
    flat = all(shape[1:] == (width, channels) for shape in operands)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.rows if flat else region.pixels, region.pixels * channels

    return count


def _lookup(layer: Layer, graph: Graph) -> Counter:
    channels = output_map(layer, graph)[2]

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.pixels * channels

    return count


def _softmax(layer: Layer, graph: Graph) -> Counter:
    channels = output_map(layer, graph)[2]

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.pixels, region.pixels * channels

    return count


def _resize_nearest(layer: Layer, graph: Graph) -> Counter:
    channels = output_map(layer, graph)[2]

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.pixels, *aligned_and_odd(region.pixels * channels, channels)

    return count


def _concat(layer: Layer, graph: Graph) -> Counter:
    """Input by input within each row, one copy for each pixel."""
    depths = [map_shape(graph.tensors[name].shape)[2] for name in layer.inputs]
    channels = sum(depths)
    starts = np.cumsum([0, *depths[:-1]]).tolist()
    aligned = sum(d for d, s in zip(depths, starts, strict=True) if not any(n % WORD for n in (d, s, channels)))

    def count(region: Region, calls: int) -> tuple[int, ...]:
        pixels = region.pixels
        odd = channels - aligned
        return (
            calls,
            region.rows,
            region.rows * len(depths),
            pixels * len(depths),
            pixels * aligned,
            pixels * odd,
        )

    return count


def _pad(layer: Layer, graph: Graph) -> Counter:
    """Every row is filled with the border's value, then overwritten with its pixels: in one piece, or each alone."""
    operator = expect(layer.node.operator, Pad)
    height, width, depth = input_map(layer, graph)
    channels = output_map(layer, graph)[2]
    top, left = operator.pads[:2]
    in_one_piece = depth == channels
    step = common_step(depth, channels, operator.channels[0])

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = overlap(region.first_row, region.last_row, top, height)
        columns = overlap(region.first_column, region.last_column, left, width)
        return (
            calls,
            region.rows,
            *aligned_and_odd(region.pixels * channels, region.columns * channels),
            rows if columns else 0,
            0 if in_one_piece else rows * columns,
            *aligned_and_odd(rows * columns * depth, step),
        )

    return count


def _mean(layer: Layer, graph: Graph) -> Counter:
    """All of the input for the one pixel of the output, whatever its region."""
    height, width, channels = input_map(layer, graph)

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return calls, height, height * width, height * width * channels, channels

    return count


def _fully_connected(layer: Layer, graph: Graph) -> Counter:
    """All of the input for the one pixel of the output, two filters at a time."""
    height, width, depth = input_map(layer, graph)
    filters = output_map(layer, graph)[2]
    pairs = -(-filters // 2)

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return calls, pairs, pairs * height, pairs * height * width * depth, filters

    return count


_COPIES = ("aligned_bytes", "odd_bytes")
_POOL = KernelFeatures(("calls", "rows", "pixels", "values", "window_rows", "taps", "tap_values"), _pool)
_ELEMENTWISE = KernelFeatures(("calls", "rows", "pixels", "values"), _elementwise)

KERNEL_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_add_s8": _ELEMENTWISE,
        "mk_average_pool_s8": _POOL,
        "mk_concat_s8": KernelFeatures(("calls", "rows", "input_rows", "copies", *_COPIES), _concat),
        "mk_conv2d_s8": KernelFeatures(
            (
                "calls",
                "rows",
                "pixel_pairs",
                "gathered_pixels",
                "gathered_rows",
                "gathered_columns",
                "gathered_aligned_bytes",
                "gathered_odd_bytes",
                "filter_pairs",
                "four_taps",
                "single_taps",
                "lone_filters",
                "lone_filter_taps",
            ),
            _conv2d,
        ),
        "mk_depthwise_conv2d_s8": KernelFeatures(
            (
                "calls",
                "rows",
                "inner_pixels",
                "inner_values",
                "border_pixels",
                "border_values",
                "border_taps",
                "border_tap_values_inside",
                "border_tap_values_outside",
            ),
            _depthwise_conv2d,
        ),
        "mk_fully_connected_s8": KernelFeatures(
            ("calls", "filter_pairs", "filter_pair_rows", "filter_pair_taps", "filters"), _fully_connected
        ),
        "mk_lookup_s8": KernelFeatures(("calls", "rows", "values"), _lookup),
        "mk_max_pool_s8": _POOL,
        "mk_mean_s8": KernelFeatures(("calls", "input_rows", "input_pixels", "input_values", "channels"), _mean),
        "mk_mul_s8": _ELEMENTWISE,
        "mk_pad_s8": KernelFeatures(
            ("calls", "rows", "filled_aligned_bytes", "filled_odd_bytes", "copied_rows", "copied_pixels", *_COPIES),
            _pad,
        ),
        "mk_resize_nearest_s8": KernelFeatures(("calls", "rows", "pixels", *_COPIES), _resize_nearest),
        "mk_softmax_s8": KernelFeatures(("calls", "rows", "pixels", "values"), _softmax),
        "mk_sub_s8": _ELEMENTWISE,
        **DSP_FEATURES,
        **MVE_FEATURES,
        **PACKED_DSP_FEATURES,
        **PACKED_FILTER_FEATURES,
        **PACKED_MAP_FEATURES,
    }
)
"""By kernel function."""

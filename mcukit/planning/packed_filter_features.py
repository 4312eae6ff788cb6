# SPDX-License-Identifier: Apache-2.0
"""What the instructions of packed kernels with weights depend on, as mcukit.planning.kernel_features says of others.

One kernel serves every mix of bits. Its loops over words of weights are compiled for each width, so that each width has
counts of its own there.
"""

from __future__ import annotations

__all__ = ["PACKED_FILTER_FEATURES", "SEGMENT_FILTERS"]

from collections.abc import Mapping
from types import MappingProxyType

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.planning.feature_counting import (
    AxisSums,
    Counter,
    KernelFeatures,
    aligned_and_odd,
    common_step,
    expect,
    kernel_integer,
    spans,
    window_axes,
)
from mcukit.planning.packed_moves import COPYING, FIELDS, PACKING, UNPACKING, copying, fields, sums_of, times
from mcukit.quantized.integer import Layer, MapForm
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.weight_packing import taps_of_words

SEGMENT_FILTERS = 16
"""Filters of a fully connected layer that share what is unpacked: FILTERS of mk_fully_connected_packed.c."""


def _for_width(bits: int, count: int) -> tuple[int, ...]:
    """`count` where the widths in MAP_BITS are `bits`, 0 elsewhere."""
    return tuple(count if width == bits else 0 for width in MAP_BITS)


# Convolution.

_GATHERING = ("gathered_pixels", "gathered_rows", "gathered_columns", "fills", "filled_bytes")
_CONV2D = (
    "calls",
    "rows",
    "turns_for_one",
    "turns_for_two",
    *_GATHERING,
    *COPYING,
    *UNPACKING,
    "taken_values",
    "filter_pairs_for_one",
    "filter_pairs_for_two",
    "byte_filter_pairs_for_two",
    "values_for_one",
    "lone_filters_for_two",
    *(f"words_of_{bits}_bits_for_one" for bits in MAP_BITS),
    *(f"words_of_{bits}_bits_for_two" for bits in MAP_BITS),
    *PACKING,
)


def _conv2d(layer: Layer, graph: Graph) -> Counter:
    """One or two pixels, as the kernel's `pixels` says, and two filters at a time, group by group.

    A lone last pixel of a row is computed alone; a lone last filter is multiplied twice, though its sum is scaled once.
    For two pixels, filters of 8 bits are multiplied in a function of their own.
    """
    operator = expect(layer.node.operator, Conv2d)
    target, weight_bits = layer.output_form, layer.operator.weight_bits
    gather = _Gather(layer, graph)
    groups = operator.groups
    words = -(-gather.taps // taps_of_words(1, weight_bits))
    pairs_of_filters = -(-target.channels // groups // 2) * groups
    in_pairs = kernel_integer(layer, "pixels") == 2
    packing = (0,) * len(PACKING) if target.bits == 8 else (1, *fields(target.channels, target.bits))

    def count(region: Region, calls: int) -> tuple[int, ...]:
        pairs = region.rows * (region.columns // 2) if in_pairs else 0
        lone = region.pixels - 2 * pairs
        for_one, for_two = lone * pairs_of_filters, pairs * pairs_of_filters
        return (
            calls,
            region.rows,
            lone * groups,
            pairs * groups,
            *gather.count(region),
            for_one,
            for_two,
            for_two if weight_bits == 8 else 0,
            lone * target.channels,
            pairs * (target.channels // groups % 2) * groups,
            *_for_width(weight_bits, for_one * words),
            *_for_width(weight_bits, for_two * words),
            *times(region.pixels, packing),
        )

    return count


class _Gather:
    """Counts how the windows of a convolution are gathered: _GATHERING, COPYING, UNPACKING and taken_values.

    A row of a window is unpacked in one piece where it lies inside of the map, is not dilated, and holds all channels
    without gaps between pixels; else its columns one by one. Groups that don't begin on a byte are taken value by
    value. Single pixels of 8 bits that fill words of weights are read where they lie.
    """

    def __init__(self, layer: Layer, graph: Graph) -> None:
        self._source = layer.forms[0]
        self._groups = expect(layer.node.operator, Conv2d).groups
        self._window, self._row_sums, self._column_sums = window_axes(layer, graph)
        bits, depth = self._source.bits, self._source.channels // self._groups
        per_word = taps_of_words(1, layer.operator.weight_bits)
        self.taps = self._window.kernel[0] * self._window.kernel[1] * depth
        self._depth = depth
        self._is_direct = (
            self._window.kernel == (1, 1) and self._groups == 1 and bits == 8 and self.taps % per_word == 0
        )
        self._in_one_piece = self._window.dilation[1] == 1 and self._groups == 1 and depth * bits % 8 == 0
        self._row = self._unpacking(self._window.kernel[1] * depth)
        self._column = sums_of(self._take(group * depth) for group in range(self._groups))

    def _unpacking(self, values: int) -> tuple[int, ...]:
        """COPYING, UNPACKING and taken_values for values that begin on a byte."""
        if self._source.bits == 8:
            return *copying(values, self._depth), *(0,) * len(UNPACKING), 0
        return *(0,) * len(COPYING), 1, *fields(values, self._source.bits), 0

    def _take(self, first: int) -> tuple[int, ...]:
        """The same for the channels of a group, which begin with `first`."""
        if first * self._source.bits % 8 == 0:
            return self._unpacking(self._depth)
        return *(0,) * (len(COPYING) + len(UNPACKING)), self._depth

    def count(self, region: Region) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        kernel_rows, kernel_columns = self._window.kernel
        rows_inside = self._row_sums.taps_of(*row_span)
        columns_inside = self._column_sums.taps_of(*column_span)
        if self._is_direct:
            outside = region.pixels - rows_inside * columns_inside
            columns_outside = rows_inside * (region.columns - columns_inside)
            gathering = outside, outside, columns_outside, outside, outside * self._depth
            return *gathering, *(0,) * (len(COPYING) + len(UNPACKING) + 1)
        whole = self._column_sums.whole_of(*column_span) if self._in_one_piece else 0
        rows = region.rows * kernel_rows * region.columns * self._groups
        rows_outside = (region.rows * kernel_rows - rows_inside) * region.columns * self._groups
        columns = rows_inside * (region.columns - whole) * kernel_columns
        taken = rows_inside * (columns_inside - whole * kernel_columns)
        filled = (columns - taken) * self._groups
        return (
            region.pixels * self._groups,
            rows,
            columns * self._groups,
            rows_outside + filled,
            (rows_outside * kernel_columns + filled) * self._depth,
            *sums_of((times(rows_inside * whole, self._row), times(taken, self._column))),
        )


# Depthwise convolution.

_DEPTHWISE = (
    "calls",
    "rows",
    "pixels",
    "taps",
    "taps_inside",
    "eights",
    *(f"eight_taps_of_{bits}_bits_by_{weights}" for bits in MAP_BITS for weights in MAP_BITS),
    "single_values",
    "single_taps",
    "single_packed_inputs",
    "single_packed_weights",
    *PACKING,
)


def _depthwise_conv2d(layer: Layer, graph: Graph) -> Counter:
    """The places of all taps, then eight channels at a time; channels that are left over alone."""
    window, row_sums, column_sums = window_axes(layer, graph)
    source, target, weight_bits = layer.forms[0], layer.output_form, layer.operator.weight_bits
    taps = window.kernel[0] * window.kernel[1]
    eights = target.channels // 8 if source.channels == target.channels else 0
    single = target.channels - 8 * eights
    mix = (source.bits, weight_bits)
    packing = (0,) * len(PACKING) if target.bits == 8 else (1, *fields(target.channels, target.bits))
    of_pixel = (
        eights,
        *(eights * taps * (mix == (bits, weights)) for bits in MAP_BITS for weights in MAP_BITS),
        single,
        single * taps,
        single * taps * (source.bits != 8),
        single * taps * (weight_bits != 8),
        *packing,
    )

    def count(region: Region, calls: int) -> tuple[int, ...]:
        pixels, inside = region.pixels, _taps_inside(region, row_sums, column_sums)
        return calls, region.rows, pixels, pixels * taps, inside, *times(pixels, of_pixel)

    return count


def _taps_inside(region: Region, row_sums: AxisSums, column_sums: AxisSums) -> int:
    row_span, column_span = spans(region)
    return row_sums.taps_of(*row_span) * column_sums.taps_of(*column_span)


# Fully connected layer.

_FULLY_CONNECTED = (
    "calls",
    "blocks",
    "segments",
    *COPYING,
    *UNPACKING,
    "filled_values",
    "moved_bytes",
    "filter_pair_segments",
    *(f"filter_pair_words_of_{bits}_bits" for bits in MAP_BITS),
    "filters",
    *(f"packed_{name}" for name in FIELDS),
)


def _fully_connected(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Blocks of filters; for each the input is unpacked again, a segment at a time."""
    source, target, weight_bits = layer.forms[0], layer.output_form, layer.operator.weight_bits
    filters = target.channels
    blocks, last = divmod(filters, SEGMENT_FILTERS)
    sizes = [SEGMENT_FILTERS] * blocks + [last] * (last > 0)
    pairs = sum(-(-size // 2) for size in sizes)
    values = source.height * source.width * source.channels
    per_word = taps_of_words(1, weight_bits)
    words = -(-values // per_word)
    reading = _read_segments(source, kernel_integer(layer, "segment"), per_word)
    written = sums_of((*_written(size, target.bits), *fields(size, target.bits)) for size in sizes)
    copied, packed = written[: len(COPYING)], written[len(COPYING) :]
    segments, *moves, filled, moved = times(len(sizes), reading)
    copied_in, unpacked = moves[: len(COPYING)], moves[len(COPYING) :]
    counts = (
        len(sizes),
        segments,
        *sums_of((copied_in, copied)),
        *unpacked,
        filled,
        moved,
        reading[0] * pairs,
        *_for_width(weight_bits, pairs * words),
        filters,
        *packed,
    )

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return calls, *counts

    return count


def _written(values: int, bits: int) -> tuple[int, ...]:
    return copying(values, values) if bits == 8 else (0,) * len(COPYING)


def _read_segments(source: MapForm, segment: int, per_word: int) -> tuple[int, ...]:
    """How the whole input is read once: segments, COPYING, UNPACKING, filled_values and moved_bytes.

    A segment ends where the next channels don't fit; those that don't fill a word of weights begin the next one.
    """
    left = source.height * source.width * source.channels
    channel = held = segments = filled = moved = 0
    moves = (0,) * (len(COPYING) + len(UNPACKING))
    while left:
        segments += 1
        while left:
            values = source.channels - channel
            if values > segment - held:
                values = (segment - held) // 4 * 4
            if values == 0:
                break
            moves = sums_of((moves, _reading(values, source)))
            channel = (channel + values) % source.channels
            held += values
            left -= values
        if not left:
            filled = -held % per_word
            held += filled
        held %= per_word
        moved += held
    return segments, *moves, filled, moved


def _reading(values: int, source: MapForm) -> tuple[int, ...]:
    if source.bits == 8:
        count = (1, *aligned_and_odd(values, common_step(values, source.channels)))
        return *count, *(0,) * len(UNPACKING)
    return *(0,) * len(COPYING), 1, *fields(values, source.bits)


PACKED_FILTER_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_conv2d_packed": KernelFeatures(_CONV2D, _conv2d),
        "mk_depthwise_conv2d_packed": KernelFeatures(_DEPTHWISE, _depthwise_conv2d),
        "mk_fully_connected_packed": KernelFeatures(_FULLY_CONNECTED, _fully_connected),
    }
)
"""By kernel function."""

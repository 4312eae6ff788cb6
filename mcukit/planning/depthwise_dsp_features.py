# SPDX-License-Identifier: Apache-2.0
"""What the instructions of DSP kernels for depthwise convolutions depend on, as planning/kernel_features.py says."""

from __future__ import annotations

__all__ = ["DEPTHWISE_DSP_FEATURES"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.depthwise_conv2d import (
    DepthwiseConv2dInt8,
    any_dsp_columns,
    dsp_columns,
    dsp_finishes_fast,
    dsp_rows,
    unpacked_weight_bytes,
)
from mcukit.ops.window import Window
from mcukit.planning.feature_counting import (
    Counter,
    KernelFeatures,
    expect,
    input_map,
    output_map,
    window_axes,
)
from mcukit.quantized.integer import Layer
from mcukit.quantized.weight_packing import whole_words

_CHANNELS = 4
"""Channels that are computed together."""

_OUTPUTS = 4
"""Outputs of a channel that the kernel for any windows computes at a time."""

_STRIDES_WITH_LOOPS = 2
"""The largest stride for which usual windows have loops of their own."""


# 3x3 windows.


@dataclass(frozen=True)
class _Columns:
    """How four channels of a row are computed, in parts.

    parts: of the row. turns: of two outputs. tails: parts that have outputs behind the last four. odd: parts that have
    one output more than turns of two. alone: parts of a single output. together: records that are made at once, if
    rows allow it. whole: parts that have such. others: records of the other parts. needed: of all parts.
    columns: of the input that all parts read, if they exist.
    """

    parts: int = 0
    turns: int = 0
    tails: int = 0
    odd: int = 0
    alone: int = 0
    together: int = 0
    whole: int = 0
    others: int = 0
    needed: int = 0
    columns: int = 0


def _column_counter(layer: Layer, graph: Graph) -> Callable[[int, int], _Columns]:
    """Counts for the columns [first, last) of the output."""
    window, _, _ = window_axes(layer, graph)
    width = input_map(layer, graph)[1]
    stride, pad = window.stride[1], window.pads[1]

    @cache
    def count(first: int, last: int) -> _Columns:
        parts = turns = tails = odd = alone = together = whole = others = columns = all_needed = 0
        most = dsp_columns(last - first, stride)
        for start in range(first, last, most):
            outputs = min(most, last - start)
            left = start * stride - pad
            limit = left + (outputs - 1) * stride + 3
            made = _made_together(left, limit, width)
            needed = -(-(limit - left) // 2)
            parts += 1
            turns += -(-outputs // 2)
            tails += outputs % 4 != 0
            odd += outputs % 2 if outputs > 1 else 0
            alone += outputs == 1
            together += made or 0
            whole += made is not None
            others += needed if made is None else 0
            all_needed += needed
            columns += max(0, min(limit, width) - max(left, 0))
        return _Columns(parts, turns, tails, odd, alone, together, whole, others, all_needed, columns)

    return count


def _slow_lines(layer: Layer, channels: Sequence[int]) -> tuple[int, int]:
    """How many of the channels, by position, take longer to finish a sum: to shift it to the right, and to the left."""
    arithmetic = expect(layer.operator, DepthwiseConv2dInt8).arithmetic
    is_slow, is_right = ~dsp_finishes_fast(arithmetic), arithmetic.shift < 0
    chosen = list(channels)
    return int((is_slow & is_right)[chosen].sum()), int((is_slow & ~is_right)[chosen].sum())


def _groups(rows: int, calls: int, together: int) -> int:
    """How many times some rows are computed together, where each call has as many rows as the others."""
    return calls * -(-rows // max(calls * together, 1))


_DEPTHWISE_CONV2D = (
    "calls",
    "groups",
    "rows",
    "prepared_blocks",
    "blocks",
    "lines",
    "line_turns_1",
    "line_turns_2",
    "line_tails",
    "odd_lines",
    "slow_turns",
    "records",
    "one_by_one_blocks",
    "one_by_one_records",
    "few_channel_records",
)


def _depthwise_conv2d(layer: Layer, graph: Graph) -> Counter:
    """Four channels of a part of some rows at a time: weights, and for each row records and each channel's outputs."""
    window, _, _ = window_axes(layer, graph)
    channels = input_map(layer, graph)[2]
    stride, together = window.stride[1], dsp_rows(output_map(layer, graph)[1])
    blocks = -(-channels // _CHANNELS)
    lines = channels if channels < _CHANNELS else blocks * _CHANNELS
    # The last four channels overlap those before them.
    slow = sum(_slow_lines(layer, [*range(channels), *range(channels - _CHANNELS, lines - _CHANNELS)]))
    middle = _middle_rows(layer, graph)
    of_columns = _column_counter(layer, graph)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = region.rows
        row = of_columns(region.first_column, region.last_column)
        groups = _groups(rows, calls, together)
        usual = middle[region.last_row] - middle[region.first_row] if channels >= _CHANNELS else 0
        unusual = rows - usual
        one_by_one = usual * row.others + unusual * row.needed
        return (
            calls,
            groups,
            rows,
            groups * row.parts * blocks,
            rows * row.parts * blocks,
            rows * row.parts * lines,
            rows * row.turns * lines if stride == 1 else 0,
            rows * row.turns * lines if stride != 1 else 0,
            rows * row.tails * lines,
            rows * row.odd * lines,
            rows * row.turns * slow,
            usual * row.together * blocks,
            (usual * (row.parts - row.whole) + unusual * row.parts) * blocks,
            one_by_one * blocks if channels >= _CHANNELS else 0,
            one_by_one * blocks if channels < _CHANNELS else 0,
        )

    return count


_PACKED_DEPTHWISE = (
    "calls",
    "groups",
    "rows",
    "prepared_blocks",
    "field_blocks",
    "unpacked_weight_fours",
    "blocks",
    "lines",
    *(f"{kind}_turns_{stride}" for kind in ("byte", "field") for stride in (1, 2)),
    "line_tails",
    "odd_byte_lines",
    "right_turns",
    "left_turns",
    "byte_records",
    "field_records",
    "border_records",
    "border_loads",
    "border_loaded_bytes",
    "packed_blocks",
    "packed_last_pixels",
    "few_channel_blocks",
    "few_channel_pairs",
    "few_channel_values",
)


def _packed_depthwise(layer: Layer, graph: Graph) -> Counter:
    """As `_depthwise_conv2d`, but the last channels that don't fill four are a block of their own.

    Their records are made one by one where they have fewer bytes than four channels. Weights are unpacked once a call
    or with those of each block. Outputs of 4 and 2 bits are packed from words, two pixels at a time, which is a part of
    a turn.
    """
    window, _, _ = window_axes(layer, graph)
    source, target, weight_bits = layer.forms[0], layer.output_form, layer.operator.weight_bits
    channels, stride = source.channels, window.stride[1]
    together = dsp_rows(output_map(layer, graph)[1])
    to_the_right, to_the_left = _slow_lines(layer, range(channels))
    fours, few = divmod(channels, _CHANNELS)
    blocks = fours + (few > 0)
    # Few channels, and those of 4 bits, are loaded byte by byte.
    few_bytes, four_bytes = -(-few * source.bits // 8), _CHANNELS * source.bits // 8
    made_blocks = 0 if fours == 0 else fours + (few > 0 and few_bytes == four_bytes)
    few_loops, four_loops = few_bytes * (source.bits != 2), four_bytes * (source.bits == 4)
    rows_inside, unusual_rows_inside = _rows_inside(layer, graph)
    middle = _middle_rows(layer, graph)
    of_columns = _column_counter(layer, graph)
    unpacks = unpacked_weight_bytes(channels, weight_bits) > 0
    filled = whole_words(channels, weight_bits)
    weights = 9 * filled if unpacks else 0
    in_bytes = target.bits == 8

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = region.rows
        row = of_columns(region.first_column, region.last_column)
        usual = middle[region.last_row] - middle[region.first_row]
        groups = _groups(rows, calls, together) * row.parts
        slow_blocks = blocks - made_blocks
        parts = rows * row.parts
        strips = usual * row.together * made_blocks
        one_by_one = usual * row.others * blocks + usual * (row.needed - row.others) * slow_blocks
        turns = rows * row.turns * channels
        by_stride = (turns, 0) if stride == 1 else (0, turns)
        packed, few_packed = (0, 0) if in_bytes else (fours, int(few > 0))
        last_pixels = rows * (row.odd + row.alone)
        loads = row.columns * (rows_inside[region.last_row] - rows_inside[region.first_row])
        unusual_loads = row.columns * (unusual_rows_inside[region.last_row] - unusual_rows_inside[region.first_row])
        made_fours = min(made_blocks, fours)
        return (
            calls,
            groups,
            rows,
            groups * blocks,
            0 if weight_bits == 8 or unpacks else groups * blocks,
            calls * weights // _CHANNELS,
            parts * blocks,
            parts * channels,
            *(by_stride if in_bytes else (0, 0)),
            *((0, 0) if in_bytes else by_stride),
            rows * row.tails * channels,
            rows * row.odd * channels if in_bytes else 0,
            rows * row.turns * to_the_right,
            rows * row.turns * to_the_left,
            strips if source.bits == 8 else 0,
            strips if source.bits != 8 else 0,
            one_by_one + (rows - usual) * row.needed * blocks,
            unusual_loads * made_blocks + loads * slow_blocks,
            made_fours * unusual_loads * four_loops
            + few_loops * (unusual_loads * (made_blocks - made_fours) + loads * slow_blocks),
            parts * packed,
            last_pixels * packed,
            parts * few_packed,
            rows * row.turns * few_packed,
            rows * row.turns * few_packed * few,
        )

    return count


def _rows_inside(layer: Layer, graph: Graph) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """At index n, the input rows that exist for the first n output rows; and those that `_middle_rows` leaves out."""
    exist = _row_exists(layer, graph)
    inside = exist.sum(axis=0)
    usual = exist[1] & (exist[0] | exist[2])
    return (0, *np.cumsum(inside).tolist()), (0, *np.cumsum(np.where(usual, 0, inside)).tolist())


def _row_exists(layer: Layer, graph: Graph) -> npt.NDArray[np.bool_]:
    """Whether the input has a row: (row of the window, row of the output)."""
    window, _, _ = window_axes(layer, graph)
    height = input_map(layer, graph)[0]
    first = np.arange(output_map(layer, graph)[0]) * window.stride[0] - window.pads[0]
    rows = first + np.arange(3)[:, np.newaxis] * window.dilation[0]
    exist: npt.NDArray[np.bool_] = (rows >= 0) & (rows < height)
    return exist


def _middle_rows(layer: Layer, graph: Graph) -> tuple[int, ...]:
    """At index n, of the first n output rows those whose middle input row and one more exist."""
    upper, middle, lower = _row_exists(layer, graph)
    return (0, *np.cumsum(middle & (upper | lower)).tolist())


def _made_together(left: int, limit: int, width: int) -> int | None:
    """Records of columns from `left` on that are made in one go; half of the first may be missing, and of the last one.

    None if none are. Those behind the map are made beforehand.
    """
    last = min(limit, width)
    first = left + 2 if left < 0 else left
    return None if left < -1 or first > last else (left < 0) + -(-(last - first) // 2)


# Any windows.


def _any_columns(layer: Layer, graph: Graph) -> Callable[[int, int], tuple[int, int, int, int]]:
    """What four channels of a row's columns [first, last) take."""
    window, _, _ = window_axes(layer, graph)
    stride = window.stride[1]

    @cache
    def count(first: int, last: int) -> tuple[int, int, int, int]:
        """(Parts, columns that are paired, turns of four outputs, outputs of shorter turns)."""
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

    return count


def _multiplied_columns(window: Window, pairs: int) -> tuple[int, int, int, int]:
    """_MULTIPLIED for so many pairs of rows: columns of usual windows are multiplied in loops of their own."""
    has_own_loop = window.dilation[1] == 1 and window.stride[1] <= _STRIDES_WITH_LOOPS
    width = window.kernel[1]
    return (
        pairs,
        pairs if has_own_loop and width == 5 else 0,
        pairs if has_own_loop and width == 7 else 0,
        0 if has_own_loop and width in {5, 7} else pairs * width,
    )


_MULTIPLIED = ("pairs", "columns_of_5", "columns_of_7", "other_columns")

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
    *_MULTIPLIED,
)


def _any_depthwise(layer: Layer, graph: Graph) -> Counter:
    """Four channels of a part of a row at a time: two rows of the input are paired, then four outputs take a turn.

    In a turn every pair of rows of the kernel is multiplied column by column; 5 and 7 columns have loops of their own.
    """
    window, _, _ = window_axes(layer, graph)
    channels = input_map(layer, graph)[2]
    width, pairs = window.kernel[1], -(-window.kernel[0] // 2)
    blocks = -(-channels // _CHANNELS)
    lines = channels if channels < _CHANNELS else blocks * _CHANNELS

    of_columns = _any_columns(layer, graph)

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
            *_multiplied_columns(window, multiplied),
        )

    return count


_ANY_PACKED_DEPTHWISE = (
    "calls",
    "rows",
    "blocks",
    "paired_rows",
    "byte_columns",
    "field_columns",
    "few_channel_columns",
    "few_channel_bytes",
    "byte_taps",
    "field_taps",
    "lines",
    "turns",
    "last_outputs",
    *_MULTIPLIED,
    "packed_blocks",
    "packed_pixels",
    "few_channel_pixels",
)


def _any_packed_depthwise(layer: Layer, graph: Graph) -> Counter:
    """As `_any_depthwise`, but the last channels that don't fill four are a block of their own.

    They are loaded one by one where they have fewer bytes than four channels.
    """
    window, _, _ = window_axes(layer, graph)
    source, target, weight_bits = layer.forms[0], layer.output_form, layer.operator.weight_bits
    channels, width, pairs = source.channels, window.kernel[1], -(-window.kernel[0] // 2)
    fours, few = divmod(channels, _CHANNELS)
    blocks = fours + (few > 0)
    few_bytes = -(-few * source.bits // 8)
    whole_blocks = fours + (few > 0 and few_bytes == _CHANNELS * source.bits // 8)
    loaded = 0 if source.bits == 2 else 2 * few_bytes
    of_columns = _any_columns(layer, graph)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = region.rows
        parts, paired, turns, rest = of_columns(region.first_column, region.last_column)
        columns, taps = rows * paired * pairs, rows * parts * blocks * pairs * width
        few_columns = columns * (blocks - whole_blocks)
        is_packed = target.bits != 8
        return (
            calls,
            rows,
            rows * parts * blocks,
            rows * parts * blocks * pairs,
            columns * whole_blocks if source.bits == 8 else 0,
            columns * whole_blocks if source.bits != 8 else 0,
            few_columns,
            few_columns * loaded,
            taps if weight_bits == 8 else 0,
            taps if weight_bits != 8 else 0,
            rows * parts * channels,
            rows * turns * channels,
            rows * rest * channels,
            *_multiplied_columns(window, rows * turns * channels * pairs),
            rows * parts * blocks if is_packed else 0,
            region.pixels * fours if is_packed else 0,
            region.pixels * (few > 0) if is_packed else 0,
        )

    return count


DEPTHWISE_DSP_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_depthwise_conv2d_s8_dsp": KernelFeatures(_DEPTHWISE_CONV2D, _depthwise_conv2d),
        "mk_depthwise_conv2d_any_s8_dsp": KernelFeatures(_ANY_DEPTHWISE, _any_depthwise),
        "mk_depthwise_conv2d_packed_dsp": KernelFeatures(_PACKED_DEPTHWISE, _packed_depthwise),
        "mk_depthwise_conv2d_any_packed_dsp": KernelFeatures(_ANY_PACKED_DEPTHWISE, _any_packed_depthwise),
    }
)
"""By kernel function."""

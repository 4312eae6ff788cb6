# SPDX-License-Identifier: Apache-2.0
"""What the instructions of packed kernels without weights depend on, as kernel_features.py says of others."""

from __future__ import annotations

__all__ = ["PACKED_MAP_FEATURES"]

from collections.abc import Mapping
from types import MappingProxyType

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.pad import Pad
from mcukit.planning.feature_counting import (
    WORD,
    Counter,
    KernelFeatures,
    aligned_and_odd,
    common_step,
    expect,
    kernel_integer,
    overlap,
    spans,
    window_axes,
)
from mcukit.planning.packed_moves import (
    ADDING,
    COPYING,
    FIELDS,
    MOVING,
    UNPACKING,
    adding,
    copying,
    fields,
    moving,
    sums_of,
    times,
    walks_over,
)
from mcukit.quantized.integer import Layer


def _elementwise(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Pixel by pixel: both operands are unpacked, spread where they have one channel, and the result is packed."""
    target = layer.output_form
    kernel = layer.kernel
    constants = () if kernel is None else kernel.constant_maps
    operands = [(form.channels, form.bits) for form in layer.forms] + [(shape[2], 8) for *_, shape in constants]
    spread = sum(channels != target.channels for channels, _ in operands)
    moves = moving(operands, [(target.channels, target.bits)])
    of_pixel = (target.channels, spread, spread * target.channels, *moves)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, *times(region.pixels, of_pixel)

    return count


def _mul(layer: Layer, graph: Graph) -> Counter:
    """As _elementwise; products whose scaling ends with a division take longer."""
    counter = _elementwise(layer, graph)
    divided = layer.output_form.channels if kernel_integer(layer, "shift") < 0 else 0

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return *counter(region, calls), region.pixels * divided

    return count


def _lookup(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    source, target = layer.forms[0], layer.output_form
    moves = moving([(source.channels, source.bits)], [(target.channels, target.bits)])

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.pixels * target.channels, *times(region.pixels, moves)

    return count


def _average_pool(layer: Layer, graph: Graph) -> Counter:
    """The part of each window that lies inside of the map, row by row: one walk each, however wide."""
    _, row_sums, column_sums = window_axes(layer, graph)
    target = layer.output_form
    of_pixel = fields(target.channels, target.bits)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        window_rows = row_sums.taps_of(*row_span)
        taps, pixels = window_rows * column_sums.taps_of(*column_span), region.pixels
        return (
            calls,
            region.rows,
            pixels,
            pixels * target.channels,
            window_rows * region.columns,
            *adding(target.channels, target.bits, window_rows * region.columns, taps),
            *times(pixels, of_pixel),
        )

    return count


def _max_pool(layer: Layer, graph: Graph) -> Counter:
    """As _average_pool, in words and bytes of packed values; these are limited where the maximum is not the width's."""
    _, row_sums, column_sums = window_axes(layer, graph)
    bits, pixel = layer.output_form.bits, layer.output_form.pixel_bytes
    words, single = divmod(pixel, WORD)
    of_tap = tuple(count if bits == width else 0 for width in (4, 2) for count in (words, single))
    is_limited = kernel_integer(layer, "maximum") < (1 << (bits - 1)) - 1

    def count(region: Region, calls: int) -> tuple[int, ...]:
        row_span, column_span = spans(region)
        window_rows = row_sums.taps_of(*row_span)
        taps, pixels = window_rows * column_sums.taps_of(*column_span), region.pixels
        return (
            calls,
            region.rows,
            pixels,
            *times(pixels, (words, single)),
            pixels * pixel if is_limited else 0,
            window_rows * region.columns,
            taps,
            *times(taps, of_tap),
        )

    return count


def _mean(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """All of the input for the one pixel of the output, whatever its region."""
    source, target = layer.forms[0], layer.output_form
    pixels, walks = source.height * source.width, source.height * walks_over(source.width)
    added = (0,) * len(ADDING) if source.bits == 8 else adding(source.channels, source.bits, walks, pixels)
    counts = (
        source.height,
        *((pixels, pixels * source.channels) if source.bits == 8 else (0, 0)),
        *added,
        source.channels,
        *(copying(target.channels, target.channels)[1:] if target.bits == 8 else (0, 0)),
        *fields(target.channels, target.bits),
    )

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return calls, *counts

    return count


def _concat(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Input by input within each row, one copy for each pixel; bytes are shifted where it doesn't begin on one."""
    bits, step = layer.output_form.bits, layer.output_form.pixel_bytes
    position = 0
    of_pixel = (0,) * (len(COPYING) + 2)
    for form in layer.forms:
        if position % 8 == 0:
            aligned = common_step(form.pixel_bytes, step, position // 8)
            moved = (1, *aligned_and_odd(form.pixel_bytes, aligned), 0, 0)
        else:
            moved = (0, 0, 0, 1, form.pixel_bytes)
        of_pixel = sums_of((of_pixel, moved))
        position += form.channels * bits
    inputs = len(layer.forms)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.rows * inputs, *times(region.pixels, of_pixel)

    return count


def _pad(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Every row is filled with the border's value, then overwritten with its pixels: in one piece, or each assembled.

    Where channels don't fill a pixel's last byte and the border is not the smallest value, that byte is mended.
    """
    operator = expect(layer.node.operator, Pad)
    source, target = layer.forms[0], layer.output_form
    top, left = operator.pads[:2]
    in_one_piece = source.channels == target.channels
    is_mended = target.channels * target.bits % 8 != 0 and kernel_integer(layer, "value") != -(1 << (target.bits - 1))
    step = target.pixel_bytes
    unpacked, packed = fields(source.channels, source.bits), fields(target.channels, target.bits)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        rows = overlap(region.first_row, region.last_row, top, source.height)
        columns = overlap(region.first_column, region.last_column, left, source.width)
        pixels = rows * columns
        assembled = 0 if in_one_piece else pixels
        copied = pixels * step if in_one_piece else 0
        return (
            calls,
            region.rows,
            *aligned_and_odd(region.pixels * step, region.columns * step),
            region.pixels if is_mended else 0,
            rows if columns and in_one_piece else 0,
            *aligned_and_odd(copied, step),
            *times(rows if columns and not in_one_piece else 0, (1, target.channels)),
            assembled,
            *times(assembled, unpacked),
            *times(assembled, packed),
        )

    return count


def _resize_nearest(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Pixels are copied whole."""
    step = layer.output_form.pixel_bytes

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, region.pixels, *aligned_and_odd(region.pixels * step, step)

    return count


def _softmax(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Each row is unpacked, and then that of 8 bits is computed in place."""
    source = layer.forms[0]
    of_pixel = (1, source.channels, *fields(source.channels, source.bits))

    def count(region: Region, calls: int) -> tuple[int, ...]:
        return calls, region.rows, *times(region.pixels, of_pixel)

    return count


_UNPACKED = UNPACKING[1:]
_PACKED = tuple(f"packed_{name}" for name in FIELDS)
_OPERANDS = ("calls", "rows", "values", "fills", "filled_bytes", *MOVING)
_ELEMENTWISE = KernelFeatures(_OPERANDS, _elementwise)

PACKED_MAP_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_add_packed": _ELEMENTWISE,
        "mk_average_pool_packed": KernelFeatures(
            ("calls", "rows", "pixels", "values", "window_rows", *ADDING, *_PACKED), _average_pool
        ),
        "mk_concat_packed": KernelFeatures(
            ("calls", "rows", "input_rows", *COPYING, "shifts", "shifted_bytes"), _concat
        ),
        "mk_lookup_packed": KernelFeatures(("calls", "rows", "values", *MOVING), _lookup),
        "mk_max_pool_packed": KernelFeatures(
            (
                "calls",
                "rows",
                "pixels",
                "output_words",
                "output_bytes",
                "limited_bytes",
                "window_rows",
                "taps",
                "tap_words_of_4_bits",
                "tap_bytes_of_4_bits",
                "tap_words_of_2_bits",
                "tap_bytes_of_2_bits",
            ),
            _max_pool,
        ),
        "mk_mean_packed": KernelFeatures(
            (
                "calls",
                "input_rows",
                "input_pixels_of_8_bits",
                "added_bytes",
                *ADDING,
                "channels",
                *COPYING[1:],
                *_PACKED,
            ),
            _mean,
        ),
        "mk_mul_packed": KernelFeatures((*_OPERANDS, "divided_values"), _mul),
        "mk_pad_packed": KernelFeatures(
            (
                "calls",
                "rows",
                "filled_aligned_bytes",
                "filled_odd_bytes",
                "mended_pixels",
                "copied_rows",
                *COPYING[1:],
                "assembled_rows",
                "assembled_row_values",
                "assembled_pixels",
                *_UNPACKED,
                *_PACKED,
            ),
            _pad,
        ),
        "mk_pair_lookup_packed": _ELEMENTWISE,
        "mk_resize_nearest_packed": KernelFeatures(("calls", "rows", "pixels", *COPYING[1:]), _resize_nearest),
        "mk_softmax_packed": KernelFeatures(("calls", "rows", "pixels", "values", *_UNPACKED), _softmax),
        "mk_sub_packed": _ELEMENTWISE,
    }
)
"""By kernel function."""

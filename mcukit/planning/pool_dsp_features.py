# SPDX-License-Identifier: Apache-2.0
"""What the instructions of DSP kernels for pools and means depend on, as kernel_features.py says of others.

Sums are made in areas of pixels (firmware/mcukit_nn/src/mk_sums_dsp.h), each block of channels by block of channels.
"""

from __future__ import annotations

__all__ = ["POOL_DSP_FEATURES"]

from collections import Counter as Occurrences
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.planning.feature_counting import (
    WORD,
    AxisSums,
    Counter,
    KernelFeatures,
    input_map,
    kernel_integer,
    spans,
    window_axes,
)
from mcukit.planning.packed_moves import sums_of, times
from mcukit.quantized.integer import Layer, MapForm

_BLOCK_BYTES = {8: 8, 4: 4, 2: 4}
"""By bits of maps: bytes of a pixel whose channels are summed together."""

_AREA_LIMITS = {8: (256, 256), 4: (17, 4096), 2: (85, 85)}
"""By bits of maps: pixels of a row of an area, and of all of it, whose sums fit into their part of a register."""

_LATER_TAPS = 3
"""Pixels of a window that are compared at once with the largest values so far; the first time one more."""


_WIDTHS_OF_MAX_POOL = {8: (8,), 4: (4, 2), 2: (4, 2)}
"""By bits of maps: those that their kernel knows."""


def _windows(rows: AxisSums, columns: AxisSums, region: Region) -> Occurrences[tuple[int, int]]:
    """How many windows have how many rows and columns inside of the map."""
    (first_row, last_row), (first_column, last_column) = spans(region)
    heights = Occurrences(rows.taps_of(y, y + 1) for y in range(first_row, last_row))
    widths = Occurrences(columns.taps_of(x, x + 1) for x in range(first_column, last_column))
    return Occurrences({(h, w): n * m for h, n in heights.items() for w, m in widths.items()})


def _is_limited(layer: Layer) -> bool:
    half = 1 << (layer.output_form.bits - 1)
    return kernel_integer(layer, "minimum") > -half or kernel_integer(layer, "maximum") < half - 1


def _max_pool(layer: Layer, graph: Graph) -> Counter:
    """Windows that lie next to each other with all their columns are compared together, others one by one.

    Four pixels of each at a time, word by word; the last word of a pixel may overlap the one before it.
    """
    window, rows, columns = window_axes(layer, graph)
    form, is_limited = layer.output_form, _is_limited(layer)
    words, left = divmod(form.pixel_bytes, WORD)
    parts = 1 if left == 0 else 2

    def count(region: Region, calls: int) -> tuple[int, ...]:
        heights = Occurrences(rows.taps_of(y, y + 1) for y in range(region.first_row, region.last_row))
        widths = Occurrences(columns.taps_of(x, x + 1) for x in range(region.first_column, region.last_column))
        runs = gathered_rows = gathered_pixels = comparisons = compared = 0
        for (height, number), (width, windows) in product(heights.items(), widths.items()):
            if height and width:
                together = number * (1 if width == window.kernel[1] else windows)
                of_window = max(1, -(-(height * width - 1) // _LATER_TAPS)) * parts
                runs += together
                gathered_rows += together * height
                gathered_pixels += together * height * width
                comparisons += together * of_window
                compared += number * windows * of_window
        return (
            calls,
            region.rows,
            runs,
            gathered_rows,
            gathered_pixels,
            comparisons,
            compared,
            *_by_bits(compared * (words + parts - 1) // parts, form.bits, _WIDTHS_OF_MAX_POOL[form.bits]),
            region.pixels * form.channels if is_limited else 0,
        )

    return count


def _by_bits(number: int, bits: int, widths: tuple[int, ...]) -> tuple[int, ...]:
    """`number` at the place of the width that has so many bits."""
    return tuple(number if width == bits else 0 for width in widths)


def _areas(height: int, width: int, map_width: int, bits: int) -> list[tuple[int, int]]:
    """(rows, columns) of each area that a part of a map is summed in. Whole rows of a map are one."""
    most_columns, most_pixels = _AREA_LIMITS[bits]
    areas = []
    if width == map_width:
        left = height * width
        while left:
            pixels = min(left, most_pixels)
            columns = pixels // -(-pixels // most_columns)
            areas.append((pixels // columns, columns))
            left -= columns * (pixels // columns)
        return areas
    for first in range(0, width, most_columns):
        columns = min(most_columns, width - first)
        most_rows = most_pixels // columns
        areas += [(min(most_rows, height - row), columns) for row in range(0, height, most_rows)]
    return areas


class _Summing:
    """(rows, columns) of a part of a map -> the counts of _summing."""

    def __init__(self, source: MapForm, widths: tuple[int, ...]) -> None:
        self._source, self._widths = source, widths
        per_block = _BLOCK_BYTES[source.bits] * 8 // source.bits
        self._left = source.channels % per_block
        self._blocks = -(-source.channels // per_block)

    def __call__(self, height: int, width: int) -> tuple[int, ...]:
        bits, widths, blocks = self._source.bits, self._widths, self._blocks
        areas = _areas(height, width, self._source.width, bits)
        large = [(rows, columns) for rows, columns in areas if bits == 4 and rows * columns > _AREA_LIMITS[4][0]]
        of_large = (blocks * len(large), blocks * sum(rows for rows, _ in large))
        return (
            len(areas),
            *_by_bits(blocks * len(areas), bits, widths),
            blocks * sum(rows for rows, _ in areas),
            *_by_bits(blocks * height * width, bits, widths),
            len(areas) if self._left else 0,
            len(areas) * self._left,
            *(of_large if 4 in widths else ()),
        )


def _summing(widths: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the counts of _Summing: blocks of channels, their rows and pixels; those of large areas of 4 bits."""
    of = [f"_of_{bits}_bits" for bits in widths] if len(widths) > 1 else [""]
    return (
        "areas",
        *(f"blocks{each}" for each in of),
        "block_rows",
        *(f"block_pixels{each}" for each in of),
        "last_blocks",
        "last_values",
        *(("large_blocks", "large_rows") if 4 in widths else ()),
    )


def _average_pool(widths: tuple[int, ...]) -> KernelFeatures:
    """The part of each window that lies inside of the map; then a word of means at a time."""
    names = ("calls", "rows", "pixels", *_summing(widths), "values", "left_overs", "lone_values", "limited_values")

    def counter(layer: Layer, graph: Graph) -> Counter:
        _, rows, columns = window_axes(layer, graph)
        form, is_limited = layer.output_form, _is_limited(layer)
        summing = _Summing(layer.forms[0], widths)
        per_word = 8 * WORD // form.bits
        words, lone = divmod(form.channels, per_word)

        def count(region: Region, calls: int) -> tuple[int, ...]:
            windows = _windows(rows, columns, region)
            summed = sums_of([times(0, summing(1, 1)), *(times(n, summing(*each)) for each, n in windows.items())])
            pixels = region.pixels
            return (
                calls,
                region.rows,
                pixels,
                *summed,
                pixels * words * per_word,
                pixels if lone else 0,
                pixels * lone,
                pixels * form.channels if is_limited else 0,
            )

        return count

    return KernelFeatures(names, counter)


def _mean(widths: tuple[int, ...]) -> KernelFeatures:
    """All of the input for the one pixel of the output, whatever its region; shifts to the left take another loop."""
    means = [f"means_of_{bits}_bits" for bits in widths] if len(widths) > 1 else ["means"]

    def counter(layer: Layer, graph: Graph) -> Counter:
        height, width, channels = input_map(layer, graph)
        is_left = kernel_integer(layer, "shift") >= 0
        counts = (
            *_Summing(layer.forms[0], widths)(height, width),
            *_by_bits(channels, layer.output_form.bits, widths),
            channels if is_left else 0,
        )

        def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
            return calls, *counts

        return count

    return KernelFeatures(("calls", *_summing(widths), *means, "left_shifts"), counter)


_COMPARING = (
    "calls",
    "rows",
    "runs",
    "gathered_rows",
    "gathered_pixels",
    "comparisons",
    "compared_pixels",
)

POOL_DSP_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_average_pool_s8_dsp": _average_pool((8,)),
        "mk_average_pool_packed_dsp": _average_pool((4, 2)),
        "mk_max_pool_s8_dsp": KernelFeatures((*_COMPARING, "compared_words", "limited_values"), _max_pool),
        "mk_max_pool_packed_dsp": KernelFeatures(
            (*_COMPARING, "compared_words_of_4_bits", "compared_words_of_2_bits", "limited_values"), _max_pool
        ),
        "mk_mean_s8_dsp": _mean((8,)),
        "mk_mean_packed_dsp": _mean((8, 4, 2)),
    }
)
"""By kernel function."""

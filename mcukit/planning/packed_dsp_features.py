# SPDX-License-Identifier: Apache-2.0
"""What the instructions of DSP kernels for packed maps or weights depend on, as kernel_features.py says of others."""

from __future__ import annotations

__all__ = ["PACKED_DSP_FEATURES"]

from collections.abc import Mapping
from types import MappingProxyType

from mcukit.graph.graph import Graph
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.planning.dsp_features import BYTE_FILTERS, byte_filters
from mcukit.planning.dsp_windows import PIXELS, WINDOWS, window_counter
from mcukit.planning.feature_counting import WORD, Counter, KernelFeatures, expect, kernel_integer, window_axes
from mcukit.planning.packed_moves import PACKING, UNPACKING, fields, sums_of, times
from mcukit.quantized.integer import Layer
from mcukit.quantized.weight_packing import taps_of_words

_WORDS_A_TURN = {8: 8, 4: 8, 2: 4}
"""By bits of weights: words of filters that a multiplying loop takes a turn; of 8 bits, fours of taps."""

_FILTER_BLOCK = 32
"""Filters of a fully connected layer that share what is expanded: FILTERS of mk_fully_connected_packed_dsp.c."""

_SHARED = ("fours", "four_words", "four_turns", "moves")
"""Filters, four at a time, that share products; their words, turns of the loop, and how often sums are moved."""

_CONV2D = (
    *WINDOWS,
    "expanded_words_of_4_bits",
    "expanded_words_of_2_bits",
    *UNPACKING,
    "taken_values",
    *BYTE_FILTERS,
    "corrected_blocks",
    "corrected_fours",
    "wide_fours",
    "wide_pairs",
    "wide_pair_fours",
    "wide_pair_turns",
    *(f"{name}_of_{bits}_bits" for bits in (4, 2) for name in _SHARED),
    "rest_pairs",
    "rest_words_of_4_bits",
    "rest_words_of_2_bits",
    "packed_pairs",
    "limited_values",
    *PACKING,
)


def _conv2d(layer: Layer, graph: Graph) -> Counter:
    """Three pixels at a time; filters of 8 bits two at a time, and so those of 4 with inputs of 8, others four.

    Windows are expanded as their bytes are, or as values, where the channels of a group don't fill bytes.
    """
    groups = expect(layer.node.operator, Conv2d).groups
    source, target = layer.forms[0], layer.output_form
    depth, filters = source.channels // groups, target.channels // groups
    is_taken = depth * source.bits % 8 != 0
    window, _, _ = window_axes(layer, graph)
    taps = window.kernel[0] * window.kernel[1] * depth
    if is_taken:
        windows = window_counter(layer, graph, depth, WORD, is_taken=True)
    else:
        windows = window_counter(layer, graph, depth * source.bits // 8, source.bits // 2)
    taken = _taken(depth, groups, source.bits) if is_taken else (0,) * (len(UNPACKING) + 1)
    expanded_bits = 8 if is_taken else source.bits
    has_values = target.bits != 8 and (_is_limited(layer) or filters * target.bits % 8 != 0)
    is_limited = has_values or (target.bits == 8 and _is_limited(layer))
    packing = (1, *fields(target.channels, target.bits)) if has_values else (0,) * len(PACKING)
    multiply = _Multiplying(layer, taps, filters)

    def count(region: Region, calls: int) -> tuple[int, ...]:
        threes, singles, counts = windows(region, calls)
        expanded = counts[WINDOWS.index("expanded_words")]
        border_columns = counts[WINDOWS.index("border_columns")]
        pixels = threes * PIXELS + singles
        return (
            *counts,
            expanded if expanded_bits == 4 else 0,
            expanded if expanded_bits == 2 else 0,
            *times(border_columns // groups, taken),
            *multiply(threes, singles),
            threes * (filters // 2) if target.bits == 2 and not has_values else 0,
            (threes + singles) * PIXELS * filters if is_limited else 0,
            *times(pixels // groups, packing),
        )

    return count


def _taken(depth: int, groups: int, bits: int) -> tuple[int, ...]:
    """UNPACKING and taken_values for one pixel of all groups."""
    return sums_of(
        (1, *fields(depth, bits), 0) if group * depth * bits % 8 == 0 else (*(0,) * len(UNPACKING), depth)
        for group in range(groups)
    )


def _is_limited(layer: Layer) -> bool:
    half = 1 << (layer.output_form.bits - 1)
    return kernel_integer(layer, "minimum") > -half or kernel_integer(layer, "maximum") < half - 1


class _Multiplying:
    """(blocks of three pixels, single pixels) -> the counts from BYTE_FILTERS to rest_words_of_2_bits."""

    def __init__(self, layer: Layer, taps: int, filters: int) -> None:
        self._bits, self._filters, self._taps = layer.operator.weight_bits, filters, taps
        self._is_wide = self._bits == 4 and layer.forms[0].bits == 8
        self._words = -(-taps // taps_of_words(1, self._bits))
        self._fours = taps_of_words(taps, self._bits) // WORD
        is_shared = self._bits != 8 and not self._is_wide
        chunk = kernel_integer(layer, "sum_taps") // taps_of_words(1, self._bits) if is_shared else self._words
        first = (self._words - 1) % chunk + 1
        self._moves = -(-self._words // chunk) - 1
        turn = _WORDS_A_TURN[self._bits]
        self._turns = -(-first // turn) + self._moves * -(-chunk // turn)

    def __call__(self, threes: int, singles: int) -> tuple[int, ...]:
        none = (0,) * len(_SHARED)
        if self._bits == 8:
            counts = byte_filters(self._filters, self._fours, threes, singles)
            return *counts, *(0,) * 6, *none, *none, 0, 0, 0
        corrected = (threes + singles) * self._fours
        pairs = threes * (self._filters // 2) if self._is_wide else 0
        fours = 0 if self._is_wide else threes * (self._filters // 4)
        shared = (fours, fours * self._words, fours * self._turns, fours * self._moves)
        left = self._filters % (2 if self._is_wide else 4)
        rest = threes * PIXELS * -(-left // 2) + singles * -(-self._filters // 2)
        return (
            *(0,) * len(BYTE_FILTERS),
            threes + singles,
            corrected,
            corrected if self._is_wide else 0,
            pairs,
            pairs * self._words,
            pairs * self._turns,
            *(shared if self._bits == 4 else none),
            *(shared if self._bits == 2 else none),
            rest,
            rest * self._words if self._bits == 4 else 0,
            rest * self._words if self._bits == 2 else 0,
        )


_FULLY_CONNECTED = (
    "calls",
    "blocks",
    "segments",
    *(f"expanded_fours_of_{bits}_bits" for bits in (8, 4, 2)),
    "taken_values",
    "corrected_fours",
    "byte_segments",
    "byte_fours",
    "lone_byte_segments",
    "lone_byte_fours",
    "wide_segments",
    "wide_fours",
    "shared_segments",
    "moves",
    *(f"{kind}_words_of_{bits}_bits" for kind in ("shared", "lone") for bits in (4, 2)),
    "filters",
    *PACKING,
)


def _fully_connected(layer: Layer, graph: Graph) -> Counter:  # noqa: ARG001
    """Blocks of filters. For each the input is expanded again, a segment at a time; four filters at a time meet it."""
    source, target, bits = layer.forms[0], layer.output_form, layer.operator.weight_bits
    values = source.height * source.width * source.channels
    row_values = source.width * source.channels
    is_direct = source.channels * source.bits % 8 == 0 and row_values % WORD == 0
    is_wide = bits == 4 and source.bits == 8
    segment, per_word = kernel_integer(layer, "segment"), taps_of_words(1, bits)
    sizes = [min(segment, values - first) for first in range(0, values, segment)]
    words = [-(-size // per_word) for size in sizes]
    fours = sum(-(-size // WORD) for size in sizes)
    blocks = [min(_FILTER_BLOCK, target.channels - first) for first in range(0, target.channels, _FILTER_BLOCK)]
    quads = sum(block // 4 for block in blocks)
    left = sum(block % 4 for block in blocks)
    lone_pairs = sum(block % 4 in {1, 2} for block in blocks)
    shared_quads = sum(-(-block // 4) for block in blocks) - lone_pairs
    is_shared = bits != 8 and not is_wide
    moves = 0
    if is_shared:
        chunk = kernel_integer(layer, "sum_taps") // per_word
        moves = sum(-(-count // chunk) for count in words)
    widths = [(source.bits if is_direct else 8) == width for width in (8, 4, 2)]
    total = sum(words)
    counts = (
        len(blocks),
        len(blocks) * len(sizes),
        *(len(blocks) * fours if has else 0 for has in widths),
        0 if is_direct else len(blocks) * values,
        0 if bits == 8 else len(blocks) * total * per_word // WORD,
        quads * len(sizes) if bits == 8 else 0,
        quads * total if bits == 8 else 0,
        left * len(sizes) if bits == 8 else 0,
        left * total if bits == 8 else 0,
        (shared_quads + lone_pairs) * len(sizes) if is_wide else 0,
        (shared_quads + lone_pairs) * total if is_wide else 0,
        (shared_quads + lone_pairs) * len(sizes) if is_shared else 0,
        (shared_quads + lone_pairs) * moves,
        *(shared_quads * total if is_shared and bits == width else 0 for width in (4, 2)),
        *(lone_pairs * total if is_shared and bits == width else 0 for width in (4, 2)),
        target.channels,
        *sums_of((1, *fields(block, target.bits)) for block in blocks),
    )

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return calls, *counts

    return count


PACKED_DSP_FEATURES: Mapping[str, KernelFeatures] = MappingProxyType(
    {
        "mk_conv2d_packed_dsp": KernelFeatures(_CONV2D, _conv2d),
        "mk_fully_connected_packed_dsp": KernelFeatures(_FULLY_CONNECTED, _fully_connected),
    }
)
"""By kernel function."""

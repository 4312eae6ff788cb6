# SPDX-License-Identifier: Apache-2.0
"""How weights lie in flash.

Weights of 8 bits: convolutions have their filters in pairs (`pack_filter_pairs`), other kernels as the graph has them.
Weights of 4 and 2 bits are stored in words of 32 bits, like maps as their distance from the smallest value of their
width. Kernels multiply two pairs of 16 bits at a time, and get the pairs (0, 2) and (1, 3) of four inputs, so that the
fields of a word are in such an order.

Taps of depthwise filters (`pack_weights`): one shift and one AND give a pair of weights.

    4 bits: word & 0x000F000F is (w0, w2), word >> 4 & 0x000F000F (w1, w3), >> 8 (w4, w6), >> 12 (w5, w7)
    2 bits: word & 0x00030003 is (w0, w2), word >> 2 & 0x00030003 (w1, w3), >> 4 (w4, w6), ... >> 14 (w13, w15)

the first of a pair in the low half. Weights of 8 bits are bytes in their own order. Every row of weights, which is a
tap, is filled up to whole words with what weights of 0 look like.

Other filters (`pack_field_pairs`) stand in pairs, a and b, whose weights share words: one rotation and one AND give two
taps of both, a in the lowest and b in the highest bits of each half.

    4 bits: word & 0xF00FF00F is (a0 b0, a2 b2), rotated right by 8 (a1 b1, a3 b3)
    2 bits: word & 0xC003C003 is (a0 b0, a2 b2), rotated right by 4 (a1 b1, a3 b3), by 8 (a4 b4, a6 b6), by 12 (a5 b5,
            a7 b7)
"""

from __future__ import annotations

__all__ = [
    "field_positions",
    "filter_array",
    "pack_field_pairs",
    "pack_filter_pairs",
    "pack_weights",
    "safe_sum_taps",
    "taps_of_words",
    "weight_array",
    "whole_words",
]

import numpy as np
import numpy.typing as npt

from mcukit.quantized.integer import ConstantArray

Int8Array = npt.NDArray[np.int8]

_WORD_BITS = 32


_FOUR_TAPS = (0, 2, 1, 3)
"""The order of four taps of a pair of filters."""


def pack_filter_pairs(filters: Int8Array, groups: int) -> Int8Array:
    """(filters, taps) as (pairs of filters, four taps, 8), which is how mk_conv2d_s8.h describes it.

    Two filters of a group stand side by side, tap by tap; zeros stand beside a lone last one and behind the last taps.
    Of four taps, two bytes of one filter are those of a word that one instruction extends to a pair of 16 bits.
    """
    count, taps = filters.shape
    per_group = count // groups
    filled = np.zeros((groups, -(-per_group // 2) * 2, -(-taps // 4) * 4), np.int8)
    filled[:, :per_group, :taps] = filters.reshape(groups, per_group, taps)
    fours = filled.reshape(-1, 2, filled.shape[2] // 4, 4)[..., _FOUR_TAPS]
    return np.ascontiguousarray(fours.transpose(0, 2, 3, 1)).reshape(len(fours), -1, 8)


def whole_words(values: int, bits: int) -> int:
    """`values` rounded up to as many as fill words."""
    per_word = _WORD_BITS // bits
    return -(-values // per_word) * per_word


def field_positions(bits: int) -> npt.NDArray[np.uint32]:
    """Lowest bit of each value of a word, in the order of the values. bits: 4 or 2."""
    value = np.arange(_WORD_BITS // bits, dtype=np.uint32)
    pair = value // 4 * 2 + value % 2
    half = value // 2 % 2
    return pair * np.uint32(bits) + half * np.uint32(16)


def pack_weights(rows: Int8Array, bits: int) -> npt.NDArray[np.integer]:
    """(rows, values) as words, uint32 (rows, words); 8 bits as int8 (rows, values of whole words)."""
    filled = np.zeros((rows.shape[0], whole_words(rows.shape[1], bits)), np.int8)
    filled[:, : rows.shape[1]] = rows
    if bits == 8:
        return filled
    stored = (filled.astype(np.int16) + (1 << (bits - 1))).astype(np.uint32)
    fields = stored.reshape(rows.shape[0], -1, _WORD_BITS // bits) << field_positions(bits)
    words: npt.NDArray[np.uint32] = np.bitwise_or.reduce(fields, axis=-1)
    return words


def taps_of_words(taps: int, bits: int) -> int:
    """`taps` rounded up to as many as fill words of a pair of filters; of 8 bits, four."""
    per_word = _taps_of_word(bits)
    return -(-taps // per_word) * per_word


def _taps_of_word(bits: int) -> int:
    return 4 if bits == 8 else _WORD_BITS // bits // 2


def pack_field_pairs(filters: Int8Array, groups: int, bits: int, input_bits: int) -> npt.NDArray[np.uint32]:
    """(filters, taps) of 4 or 2 bits as (groups, words of a group): see mk_packed_weights.h.

    Words of two pairs of filters alternate; where one pair is left, its words follow each other. Weights of 0 stand
    beside a lone filter and behind the last taps. The second filter of a pair is stored as two's complement.
    input_bits: of what the weights are multiplied with. Where it is 8, weights of 4 bits are all stored as distances,
    and the words of each pair follow each other.
    """
    count, taps = filters.shape
    per_group, per_word = count // groups, _taps_of_word(bits)
    pairs = -(-per_group // 2)
    filled = np.zeros((groups, 2 * pairs, taps_of_words(taps, bits)), np.int16)
    filled[:, :per_group, :taps] = filters.reshape(groups, per_group, taps)
    # Pairs (groups, pairs, words, which filter, tap of a word).
    fields = filled.reshape(groups, pairs, 2, -1, per_word).swapaxes(2, 3)
    offset, mask = 1 << (bits - 1), (1 << bits) - 1
    is_signed = input_bits != 8 or bits == 2
    stored = (fields + np.array([offset, 0 if is_signed else offset])[:, np.newaxis] & mask).astype(np.uint32)
    tap = np.arange(per_word, dtype=np.uint32)
    first = 2 * bits * (tap // 4 * 2 + tap % 2) + tap // 2 % 2 * 16
    positions = np.stack([first, (first + 16 - bits) % _WORD_BITS]).astype(np.uint32)
    words: npt.NDArray[np.uint32] = np.bitwise_or.reduce(stored << positions, axis=(3, 4))
    in_fours = pairs // 2 * 2 if is_signed else 0
    fours = words[:, :in_fours].reshape(groups, in_fours // 2, 2, words.shape[2]).swapaxes(2, 3)
    return np.concatenate([fours.reshape(groups, -1), words[:, in_fours:].reshape(groups, -1)], axis=1)


def safe_sum_taps(filters: Int8Array, groups: int, bits: int, input_bits: int) -> int:
    """How many taps of (filters, taps) DSP kernels may sum up before they move sums: `sum_taps` of their parameters.

    As many as the weights allow. bits: 4 or 2, and less than 4 where inputs have 8.
    """
    count, taps = filters.shape
    offset, word = 1 << (bits - 1), _taps_of_word(bits)
    largest = 128 if input_bits == 8 else (1 << input_bits) - 1
    # Sums of weights that are not too large; inputs of 8 bits have a sign, which takes half of the range.
    limit = (1 << 13) // largest if input_bits == 8 else ((1 << (16 - bits)) - 1) // largest
    firsts = filters.reshape(groups, count // groups, taps)[:, ::2].reshape(-1, taps)
    stored = np.full((len(firsts), taps_of_words(taps, bits)), offset)
    stored[:, :taps] += firsts
    # Sums of the first n words.
    by_word = stored.reshape(len(stored), -1, word).sum(axis=2)
    sums = np.pad(by_word.cumsum(axis=1), ((0, 0), (1, 0)))
    words = by_word.shape[1]
    average = float(sums[:, -1].max(initial=1)) / words
    for candidate in range(min(words, int(limit / average) + 1), 1, -1):
        if (sums[:, candidate:] - sums[:, :-candidate]).max(initial=0) <= limit:
            return candidate * word
    return word


def filter_array(filters: Int8Array, groups: int, bits: int, input_bits: int) -> ConstantArray:
    """The weights (filters, taps) that packed convolutions read."""
    if bits == 8:
        pairs = pack_filter_pairs(filters, groups)
        return ConstantArray("weights", "int8_t", pairs, "[pair of output channels][four taps][8]")
    words = pack_field_pairs(filters, groups, bits, input_bits)
    return ConstantArray("weights", "uint32_t", words, "[group][word of a pair of output channels]")


def weight_array(rows: Int8Array, bits: int, meaning: str) -> ConstantArray:
    """The constant that kernels for packed maps and weights read. meaning: of the rows, in words."""
    unit = "[value]" if bits == 8 else f"[word of {_WORD_BITS // bits} values]"
    c_type = "int8_t" if bits == 8 else "uint32_t"
    return ConstantArray("weights", c_type, pack_weights(rows, bits), f"{meaning}{unit}")

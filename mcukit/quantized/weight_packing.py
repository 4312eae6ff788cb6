# SPDX-License-Identifier: Apache-2.0
"""How weights lie in flash.

Convolutions of 8 bits have their filters in pairs (`pack_filter_pairs`); the other kernels for 8 bits have weights as
the graph has them. The rest of this is about layers of which a map or the weights have fewer than 8 bits.

Weights of 4 and 2 bits are stored, like maps, as their distance from the smallest value of their width, in words of 32
bits. Kernels that multiply two pairs of 16 bits at a time expand four bytes of inputs to the pairs (0, 2) and (1, 3);
so the fields of a word are such that one shift and one AND give a pair of weights in that order:

    4 bits: word & 0x000F000F is (w0, w2), word >> 4 & 0x000F000F (w1, w3), >> 8 (w4, w6), >> 12 (w5, w7)
    2 bits: word & 0x00030003 is (w0, w2), word >> 2 & 0x00030003 (w1, w3), >> 4 (w4, w6), ... >> 14 (w13, w15)

the first of a pair in the low half. Weights of 8 bits are bytes in their own order. Every row of weights, which is a
filter or a tap, is filled up to whole words with what weights of 0 look like.
"""

from __future__ import annotations

__all__ = ["field_positions", "pack_filter_pairs", "pack_weights", "weight_array", "whole_words"]

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


def weight_array(rows: Int8Array, bits: int, meaning: str) -> ConstantArray:
    """The constant that kernels for packed maps and weights read. meaning: of the rows, in words."""
    unit = "[value]" if bits == 8 else f"[word of {_WORD_BITS // bits} values]"
    c_type = "int8_t" if bits == 8 else "uint32_t"
    return ConstantArray("weights", c_type, pack_weights(rows, bits), f"{meaning}{unit}")

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.weight_packing import (
    filter_array,
    pack_field_pairs,
    pack_filter_pairs,
    pack_weights,
    safe_sum_taps,
    weight_array,
    whole_words,
)

PAIRS = ((0, 2), (1, 3), (4, 6), (5, 7), (8, 10), (9, 11), (12, 14), (13, 15))
"""Values that one AND takes out of a word, in the order of the shifts."""


@pytest.mark.parametrize(("bits", "mask"), [(4, 0x000F000F), (2, 0x00030003)])
@pytest.mark.parametrize("values", [1, 2, 7, 8, 9, 16, 17, 33])
def test_one_shift_and_one_and_give_a_pair(bits: int, mask: int, values: int) -> None:
    limit = (1 << (bits - 1)) - 1
    rows = np.random.default_rng(values).integers(-limit, limit + 1, (3, values), np.int8)
    offset = 1 << (bits - 1)

    words = pack_weights(rows, bits)

    assert words.dtype == np.uint32
    per_word = 32 // bits
    assert words.shape == (3, -(-values // per_word))
    for row, found in zip(rows.tolist(), words.tolist(), strict=True):
        padded = row + [0] * (whole_words(values, bits) - values)
        for first, word in enumerate(found):
            group = padded[first * per_word : (first + 1) * per_word]
            for shift, (low, high) in enumerate(PAIRS[: per_word // 2]):
                pair = word >> (bits * shift) & mask
                assert (pair & 0xFFFF) - offset == group[low]
                assert (pair >> 16) - offset == group[high]


def test_words_by_hand() -> None:
    four = pack_weights(np.array([[1, 2, 3, 4, 5, 6, 7, -7], [-1, 0, 0, 0, 0, 0, 0, 0]], np.int8), 4)
    two = pack_weights(np.array([[1, 0, -1]], np.int8), 2)

    assert [f"{word:08x}" for word in four.ravel().tolist()] == ["1fcbeda9", "88888887"]
    assert [f"{word:08x}" for word in two.ravel().tolist()] == ["aaa9aaab"]


def test_bytes_keep_their_order() -> None:
    rows = np.array([[-127, 5, 127, 4, 9], [1, 2, 3, 4, 5]], np.int8)

    packed = pack_weights(rows, 8)

    assert packed.dtype == np.int8
    assert packed.tolist() == [[-127, 5, 127, 4, 9, 0, 0, 0], [1, 2, 3, 4, 5, 0, 0, 0]]


@pytest.mark.parametrize("bits", MAP_BITS)
def test_a_constant_counts_the_bytes_that_it_has_in_flash(bits: int) -> None:
    array = weight_array(np.zeros((5, 48), np.int8), bits, "[filter]")

    assert array.c_type == ("int8_t" if bits == 8 else "uint32_t")
    assert array.bytes == 5 * 48 * bits // 8


@pytest.mark.parametrize(("filters", "taps", "groups"), [(1, 1, 1), (4, 4, 1), (5, 27, 1), (6, 9, 2), (9, 10, 3)])
def test_filters_stand_in_pairs_of_one_group(filters: int, taps: int, groups: int) -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (filters, taps)).astype(np.int8)
    packed = pack_filter_pairs(weights, groups)
    per_group = filters // groups
    assert packed.shape == (groups * -(-per_group // 2), -(-taps // 4), 8)
    found = np.zeros((groups, packed.shape[0] // groups * 2, packed.shape[1] * 4), np.int8)
    for pair, fours in enumerate(packed.reshape(groups, -1, packed.shape[1], 8).swapaxes(0, 1)):
        for position, (tap, filter_) in enumerate((tap, filter_) for tap in (0, 2, 1, 3) for filter_ in (0, 1)):
            found[:, 2 * pair + filter_, tap::4] = fours[..., position]
    np.testing.assert_array_equal(found[:, :per_group, :taps].reshape(filters, taps), weights)
    assert not found[:, per_group:].any()
    assert not found[..., taps:].any()


def rotated(word: int, amount: int) -> int:
    """To the right."""
    return (word >> amount | word << (32 - amount)) & 0xFFFFFFFF


def signed_half(value: int) -> int:
    return value - (1 << 16) if value >> 15 else value


@pytest.mark.parametrize(("bits", "mask"), [(4, 0xF00FF00F), (2, 0xC003C003)])
@pytest.mark.parametrize(
    ("filters", "taps", "groups"), [(1, 1, 1), (2, 9, 1), (3, 8, 1), (6, 5, 1), (8, 17, 2), (10, 3, 2)]
)
def test_one_rotation_and_one_and_give_two_taps_of_two_filters(
    bits: int, mask: int, filters: int, taps: int, groups: int
) -> None:
    limit, offset = (1 << (bits - 1)) - 1, 1 << (bits - 1)
    weights = np.random.default_rng(taps).integers(-limit, limit + 1, (filters, taps), np.int8)

    packed = pack_field_pairs(weights, groups, bits, 4)

    per_group, words = filters // groups, -(-taps * bits // 16)
    pairs = -(-per_group // 2)
    assert packed.shape == (groups, pairs * words)
    filled = np.zeros((groups, 2 * pairs, words * 16 // bits), np.int8)
    filled[:, :per_group, :taps] = weights.reshape(groups, per_group, taps)
    for group, pair, word in np.ndindex(groups, pairs, words):
        is_lone = pair == pairs - 1 and pairs % 2
        at = pair * words + word if is_lone else (pair // 2 * words + word) * 2 + pair % 2
        first, second = filled[group, 2 * pair : 2 * pair + 2, word * 16 // bits :].tolist()
        for shift, (low, high) in enumerate(PAIRS[: 8 // bits]):
            both = rotated(int(packed[group, at]), 2 * bits * shift) & mask
            for half, tap in ((both & 0xFFFF, low), (both >> 16, high)):
                # The lower field is a distance; the upper one, with its sign, is worth so much more.
                assert signed_half(half) == first[tap] + offset + (second[tap] << (16 - bits))


def test_weights_of_4_bits_are_distances_where_inputs_have_8() -> None:
    # One pair: words of two pairs alternate in one form only.
    weights = np.random.default_rng(0).integers(-7, 8, (2, 12), np.int8)
    of_bytes, of_fields = (pack_field_pairs(weights, 1, 4, bits) for bits in (8, 4))
    np.testing.assert_array_equal(of_bytes ^ 0x80808080, of_fields)
    np.testing.assert_array_equal(pack_field_pairs(weights % 2, 1, 2, 8), pack_field_pairs(weights % 2, 1, 2, 4))


@pytest.mark.parametrize(("bits", "elements"), [(8, 6 * 20), (4, 3 * 5), (2, 3 * 3)])
def test_filters_take_no_more_than_whole_words_of_pairs(bits: int, elements: int) -> None:
    array = filter_array(np.zeros((6, 18), np.int8), 1, bits, 8)
    assert array.values.size == elements
    assert array.c_type == ("int8_t" if bits == 8 else "uint32_t")


@pytest.mark.parametrize(("bits", "input_bits"), [(4, 4), (4, 2), (2, 8), (2, 4), (2, 2)])
@pytest.mark.parametrize("spread", [0.5, 2.0, 7.0, 1000.0])
def test_sums_are_moved_as_late_as_their_bits_allow(bits: int, input_bits: int, spread: float) -> None:
    limit, offset, word = (1 << (bits - 1)) - 1, 1 << (bits - 1), 16 // bits
    values = np.random.default_rng(bits).normal(0, spread, (6, 200))
    weights = np.clip(np.rint(values), -limit, limit).astype(np.int8)
    # Inputs of 8 bits have a sign: sums begin in the middle of their range.
    largest, room = (128, 1 << 13) if input_bits == 8 else ((1 << input_bits) - 1, (1 << (16 - bits)) - 1)
    stored = weights[::2].astype(int) + offset

    def fits(taps: int) -> bool:
        sums = [stored[:, first : first + taps].sum(axis=1) * largest for first in range(0, 200, word)]
        return int(np.max(sums)) <= room

    taps = safe_sum_taps(weights, 1, bits, input_bits)

    assert taps % word == 0
    assert fits(taps)
    assert taps >= 200 or not fits(taps + word)


@pytest.mark.parametrize("value", [7, -7, 0])
def test_equal_weights_are_summed_up_to_what_they_allow(value: int) -> None:
    taps = safe_sum_taps(np.full((2, 400), value, np.int8), 1, 4, 4)
    assert taps == {7: 16, -7: 272, 0: 32}[value]  # 15 * 15 * 18 < 2^12, 15 * 273 < 2^12, 15 * 8 * 34 < 2^12

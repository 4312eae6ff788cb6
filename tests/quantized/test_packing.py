# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcukit.quantized.packing import MAP_BITS, map_of_bytes, pack, pixel_bytes, unpack


@pytest.mark.parametrize(
    ("bits", "values", "packed"),
    [
        (8, [-128, 0, 127], [0x80, 0x00, 0x7F]),
        (4, [-8, 7], [0xF0]),
        (4, [0, -1, 7], [0x78, 0x0F]),
        (2, [-2, -1, 0, 1], [0b11100100]),
        (2, [1, 1, 1, 1, -2, 0], [0xFF, 0b1000]),
    ],
)
def test_the_first_channel_lies_lowest_and_values_count_from_the_smallest(
    bits: int, values: list[int], packed: list[int]
) -> None:
    found = pack(np.array(values, np.int8), bits)

    assert found.dtype == np.int8
    assert found.view(np.uint8).tolist() == packed


@pytest.mark.parametrize("bits", MAP_BITS)
@pytest.mark.parametrize("channels", range(1, 18))
def test_unpacking_gives_back_what_was_packed(bits: int, channels: int) -> None:
    values = np.random.default_rng(channels).integers(-(1 << (bits - 1)), 1 << (bits - 1), (2, 3, channels), np.int8)

    packed = pack(values, bits)

    assert packed.shape == (2, 3, pixel_bytes(channels, bits))
    np.testing.assert_array_equal(unpack(packed, bits, channels), values, strict=True)
    np.testing.assert_array_equal(map_of_bytes(packed.tobytes(), (2, 3, channels), bits), values, strict=True)


@pytest.mark.parametrize("bits", MAP_BITS)
def test_no_pixels_have_no_bytes(bits: int) -> None:
    packed = pack(np.zeros((0, 3), np.int8), bits)

    assert packed.shape == (0, pixel_bytes(3, bits))
    assert unpack(packed, bits, 3).shape == (0, 3)

# SPDX-License-Identifier: Apache-2.0
"""How maps of 8, 4 and 2 bits lie in memory.

Channels of a pixel follow each other, the first one in the lowest bits, and every pixel begins at a byte. 8-bit values
are stored as they are. Narrower ones are stored as their distance from the smallest value of their width, so that one
AND takes a value out of its byte: a 4-bit -8 is 0, a 4-bit 7 is 15. Bits behind the last channel of a pixel are 0.
"""

from __future__ import annotations

__all__ = ["MAP_BITS", "map_of_bytes", "pack", "pixel_bytes", "unpack"]

import numpy as np
import numpy.typing as npt

Int8Array = npt.NDArray[np.int8]

MAP_BITS = (8, 4, 2)
"""Widths that maps and weights may have."""


def pixel_bytes(channels: int, bits: int) -> int:
    """Bytes from one pixel to the next."""
    return (channels * bits + 7) // 8


def pack(values: Int8Array, bits: int) -> Int8Array:
    """(..., channels) as bytes (..., pixel bytes). Values must fit into `bits`, signed."""
    if bits == 8:
        return values
    per_byte = 8 // bits
    channels = values.shape[-1]
    size = pixel_bytes(channels, bits)
    fields = np.zeros((*values.shape[:-1], size * per_byte), np.uint8)
    fields[..., :channels] = values.astype(np.int16) + (1 << (bits - 1))
    shifted = fields.reshape(*values.shape[:-1], size, per_byte) << (bits * np.arange(per_byte, dtype=np.uint8))
    packed: Int8Array = np.bitwise_or.reduce(shifted, axis=-1).astype(np.uint8).view(np.int8)
    return packed


def unpack(packed: Int8Array, bits: int, channels: int) -> Int8Array:
    """Bytes (..., pixel bytes) as values (..., channels)."""
    if bits == 8:
        return packed
    shifts = bits * np.arange(8 // bits, dtype=np.uint8)
    fields = (packed.view(np.uint8)[..., np.newaxis] >> shifts) & ((1 << bits) - 1)
    values: Int8Array = (fields.astype(np.int16) - (1 << (bits - 1))).astype(np.int8)
    return values.reshape(*packed.shape[:-1], packed.shape[-1] * (8 // bits))[..., :channels]


def map_of_bytes(data: bytes, shape: tuple[int, int, int], bits: int) -> Int8Array:
    """(height, width, channels) of a whole map's bytes."""
    height, width, channels = shape
    packed = np.frombuffer(data, np.int8).reshape(height, width, pixel_bytes(channels, bits))
    return unpack(packed, bits, channels)

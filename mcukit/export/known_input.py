# SPDX-License-Identifier: Apache-2.0
"""An input that the examples of all packages make by themselves, and a checksum of what the network computes from it.

An example that prints "as expected" has shown that its machine computes the reference's bytes.
"""

from __future__ import annotations

__all__ = ["KnownInput", "checksum_of", "known_bytes"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class KnownInput:
    """checksum: FNV-1a of all bytes of all outputs, one output after the other.

    The other numbers are those of a linear congruential generator, of whose 32 bits the highest 8 are taken, and FNV's.
    """

    checksum: int
    seed: ClassVar[int] = 1
    multiplier: ClassVar[int] = 1664525
    increment: ClassVar[int] = 1013904223
    checksum_seed: ClassVar[int] = 2166136261
    checksum_prime: ClassVar[int] = 16777619


def known_bytes(count: int) -> bytes:
    """The input of `count` bytes, int8 in two's complement."""
    state = KnownInput.seed
    values = bytearray(count)
    for index in range(count):
        state = (state * KnownInput.multiplier + KnownInput.increment) & _MASK
        values[index] = (state >> 24) ^ 0x80
    return bytes(values)


def checksum_of(outputs: Iterable[bytes]) -> int:
    """Of the bytes of all outputs, in order."""
    total = KnownInput.checksum_seed
    for output in outputs:
        for byte in output:
            total = ((total ^ byte) * KnownInput.checksum_prime) & _MASK
    return total

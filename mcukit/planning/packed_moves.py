# SPDX-License-Identifier: Apache-2.0
"""Counts of values that come out of packed pixels and go into them: the loops of firmware/mcukit_nn/src/mk_packed.c.

Packed values are moved in fours; what is left over in the end, one by one. Values of 8 bits are copied. Sums over
pixels are made in the same fours of channels, each over all pixels that follow each other.
"""

from __future__ import annotations

__all__ = [
    "ADDING",
    "COPYING",
    "FIELDS",
    "MOVING",
    "PACKING",
    "UNPACKING",
    "adding",
    "copying",
    "fields",
    "moving",
    "sums_of",
    "times",
    "walks_over",
]

from collections.abc import Iterable, Sequence

from mcukit.planning.feature_counting import aligned_and_odd, common_step

FIELDS = ("runs_of_fours", "fours_of_4_bits", "fours_of_2_bits", "left_overs", "single_values")
"""What a loop over packed values does. runs_of_fours, left_overs: whether it has any fours, or single values."""

COPYING = ("copies", "copied_aligned_bytes", "copied_odd_bytes")
UNPACKING = ("unpacks", *(f"unpacked_{name}" for name in FIELDS))
PACKING = ("packs", *(f"packed_{name}" for name in FIELDS))
MOVING = (*COPYING, *UNPACKING, *PACKING)

ADDING = (
    "sums_of_fours",
    "sums_of_single_values",
    "added_fours_of_4_bits",
    "added_fours_of_2_bits",
    "added_single_values",
)
"""What mk_add_stored does with packed pixels: channels, by fours and alone, that it walks over pixels; their values."""

_ADDED_TOGETHER = 4096
"""Pixels over which channels are walked at once: PIXELS_IN_HALF of mk_packed.c."""


def fields(values: int, bits: int) -> tuple[int, int, int, int, int]:
    """The counts of FIELDS for `values` values that follow each other."""
    if bits == 8:
        return 0, 0, 0, 0, 0
    fours, single = divmod(values, 4)
    return int(fours > 0), fours * (bits == 4), fours * (bits == 2), int(single > 0), single


def adding(channels: int, bits: int, walks: int, pixels: int) -> tuple[int, int, int, int, int]:
    """The counts of ADDING. walks: over pixels that follow each other. pixels: of all walks together."""
    fours, single = divmod(channels, 4)
    return walks * fours, walks * single, pixels * fours * (bits == 4), pixels * fours * (bits == 2), pixels * single


def walks_over(pixels: int) -> int:
    """In how many walks mk_add_stored adds pixels that follow each other."""
    return -(-pixels // _ADDED_TOGETHER)


def copying(count: int, step: int) -> tuple[int, int, int]:
    """The counts of COPYING for one copy. step: bytes from where it begins to where others begin, or other lengths."""
    return 1, *aligned_and_odd(count, common_step(count, step))


def moving(unpacked: Iterable[tuple[int, int]], packed: Iterable[tuple[int, int]] = ()) -> tuple[int, ...]:
    """The counts of MOVING for pixels of (values, bits), each of which is unpacked or packed once."""
    none_copied, none_moved = (0,) * len(COPYING), (0,) * len(UNPACKING)
    counts = [(0,) * len(MOVING)]
    for values, bits in unpacked:
        counts.append(
            (*copying(values, values), *none_moved, *none_moved)
            if bits == 8
            else (*none_copied, 1, *fields(values, bits), *none_moved)
        )
    for values, bits in packed:
        counts.append(
            (*copying(values, values), *none_moved, *none_moved)
            if bits == 8
            else (*none_copied, *none_moved, 1, *fields(values, bits))
        )
    return sums_of(counts)


def sums_of(counts: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def times(number: int, counts: Sequence[int]) -> tuple[int, ...]:
    return tuple(number * count for count in counts)

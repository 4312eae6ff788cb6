# SPDX-License-Identifier: Apache-2.0
"""Places buffers with known lifetimes in one arena."""

from __future__ import annotations

__all__ = ["ALIGNMENT", "Buffer", "place"]

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 4
"""Every buffer starts on a word, so that kernels may load words and scratch may hold int32_t."""


@dataclass(frozen=True)
class Buffer:
    """Memory that is in use from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


def place(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """Offsets by name, and the bytes of the whole arena.

    Largest first, each at the lowest offset that is free for its whole lifetime (best-fit by size, after Pisarchyk
    and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
    """
    placed: list[tuple[int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.bytes, b.first, b.name)):
        offset = 0
        for start, other in sorted(placed, key=lambda item: item[0]):
            if not other.overlaps(buffer):
                continue
            if start - offset >= buffer.bytes:
                break
            offset = max(offset, _align(start + other.bytes))
        placed.append((offset, buffer))
    arena = max((offset + buffer.bytes for offset, buffer in placed), default=0)
    return {buffer.name: offset for offset, buffer in placed}, _align(arena)


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

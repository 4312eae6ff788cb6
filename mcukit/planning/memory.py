# SPDX-License-Identifier: Apache-2.0
"""Places buffers with known lifetimes in one arena."""

from __future__ import annotations

__all__ = ["ALIGNMENT", "Buffer", "place"]

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ALIGNMENT = 4
"""Every buffer starts on a word, so that kernels may load words and scratch may hold int32_t."""

_SHUFFLES = 200
"""Orders that are tried at random where the deliberate ones leave gaps. The same ones each time."""


@dataclass(frozen=True)
class Buffer:
    """Memory that is in use from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


def place(buffers: Sequence[Buffer]) -> tuple[tuple[int, ...], int]:
    """The offset of each buffer, in their order, and the bytes of the whole arena.

    Each buffer gets the lowest offset that is free for its whole lifetime. What comes of that depends on the order:
    by size is best most of the time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
    2020), others are tried until the arena is as small as the buffers that are alive together.
    """
    bound = _largest_live_set(buffers)
    best: tuple[int, ...] = ()
    smallest = -1
    for order in _orders(buffers):
        offsets, arena = _first_fit(buffers, order)
        if smallest < 0 or arena < smallest:
            best, smallest = offsets, arena
        if smallest <= bound:
            break
    return best, max(smallest, 0)


def _largest_live_set(buffers: Sequence[Buffer]) -> int:
    """A bound that no placement can go below."""
    steps = {buffer.first for buffer in buffers}
    live = ((b for b in buffers if b.first <= step <= b.last) for step in steps)
    return max((sum(_align(buffer.bytes) for buffer in alive) for alive in live), default=0)


def _orders(buffers: Sequence[Buffer]) -> Iterator[list[int]]:
    """By size, by size and lifetime, by birth; then shuffles in which large buffers still tend to come first."""
    positions = range(len(buffers))
    yield sorted(positions, key=lambda i: (-buffers[i].bytes, buffers[i].first))
    yield sorted(positions, key=lambda i: -buffers[i].bytes * (buffers[i].last - buffers[i].first + 1))
    yield sorted(positions, key=lambda i: (buffers[i].first, -buffers[i].bytes))
    generator = random.Random(0)  # noqa: S311 - a search, not a secret
    for _ in range(_SHUFFLES):
        noise = [generator.uniform(0.3, 1.0) for _ in positions]
        yield sorted(positions, key=lambda i: -buffers[i].bytes * noise[i])


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> tuple[tuple[int, ...], int]:
    offsets = [0] * len(buffers)
    placed: list[tuple[int, Buffer]] = []
    for position in order:
        buffer, offset = buffers[position], 0
        for start, other in sorted(placed, key=lambda item: item[0]):
            if not other.overlaps(buffer):
                continue
            if start - offset >= buffer.bytes:
                break
            offset = max(offset, _align(start + other.bytes))
        placed.append((offset, buffer))
        offsets[position] = offset
    arena = max((offset + buffer.bytes for offset, buffer in placed), default=0)
    return tuple(offsets), _align(arena)


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes of the arena, and when."""

from __future__ import annotations

__all__ = ["MemoryBlock", "memory_blocks"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcukit.planning.plan import Place, Plan


@dataclass(frozen=True)
class MemoryBlock:
    """Bytes [offset, offset + bytes) of the arena, in use from layer `first` to layer `last`, both included.

    first is -1 for the network's input, which is there before the first layer; last is the number of layers for
    an output, which stays. names: the maps that lie there, several where they are views or computed in place.
    """

    names: tuple[str, ...]
    offset: int
    bytes: int
    first: int
    last: int
    scratch: bool = False

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.bytes

    def collides(self, other: MemoryBlock) -> bool:
        """Whether both hold the same byte during the same layer."""
        in_time = self.first <= other.last and other.first <= self.last
        starts, ends = max(self.offset, other.offset), min(self.end, other.end)
        return in_time and starts < ends

    def joined(self, other: MemoryBlock) -> MemoryBlock:
        """The smallest block that covers both."""
        offset = min(self.offset, other.offset)
        size = max(self.end, other.end) - offset
        first, last = min(self.first, other.first), max(self.last, other.last)
        return MemoryBlock(self.names + other.names, offset, size, first, last, self.scratch and other.scratch)


def memory_blocks(plan: Plan, layers: Sequence[Mapping[str, Any]]) -> tuple[MemoryBlock, ...]:
    """The blocks of a plan over whole maps, in the order in which they come into use.

    layers: those of report.json: name, inputs and output of each. Layers without the last two, or a schedule
    over parts of maps, give no blocks: lifetimes are unknown then.
    """
    if plan.schedule != "layers" or not all("inputs" in layer and "output" in layer for layer in layers):
        return ()
    reads = [tuple(layer["inputs"]) for layer in layers]
    written = {layer["output"]: step for step, layer in enumerate(layers)}
    blocks: list[MemoryBlock] = []
    for name, place in plan.maps.items():
        first = written.get(name, -1)
        # What no layer reads is an output of the network, which stays.
        last = max((step for step, names in enumerate(reads) if name in names), default=len(layers))
        _add(blocks, _block(name, place, first, last))
    steps = {layer["name"]: step for step, layer in enumerate(layers)}
    for name, place in plan.scratch.items():
        if name in steps:
            blocks.append(_block(name, place, steps[name], steps[name], scratch=True))
    return tuple(sorted(blocks, key=lambda block: (block.first, block.offset)))


def _block(name: str, place: Place, first: int, last: int, *, scratch: bool = False) -> MemoryBlock:
    return MemoryBlock((name,), place.offset, place.bytes, first, last, scratch)


def _add(blocks: list[MemoryBlock], block: MemoryBlock) -> None:
    """Adds a block, joined with the one whose memory it shares: a plan lets no other maps meet."""
    for index, other in enumerate(blocks):
        if other.collides(block):
            blocks[index] = other.joined(block)
            return
    blocks.append(block)

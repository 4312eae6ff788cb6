# SPDX-License-Identifier: Apache-2.0
"""Which memory region holds which buffer and whose constants: what is used most goes into the fastest region.

Where there are several regions this is packing into bins on top of Dynamic Storage Allocation, and as hard: regions are
filled greedily, in several orders.
"""

from __future__ import annotations

__all__ = [
    "Assignment",
    "Constants",
    "Shortage",
    "assign_buffers",
    "assign_weights",
    "constants_of",
    "linked_weights",
]

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mcukit.graph.graph import Tensor
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lifetimes import BufferNeed
from mcukit.planning.placement import Conflicts, live_bytes, place
from mcukit.planning.region_budget import RegionBudget
from mcukit.planning.tiles import StageTiles, computed_pixels

ARENA_ALIGNMENT = 16
"""Generated C begins every arena at a multiple of this."""

_CONSTANT_ALIGNMENT = 4

_QUICK = 4
"""Orders that are tried each time a buffer is added to a region."""


@dataclass(frozen=True)
class Assignment:
    """Where buffers lie.

    places: region and offset in its arena, by position in Conflicts.buffers.
    arenas: bytes by region, of those that are used, in the order in which they were given.
    """

    places: Mapping[int, tuple[str, int]]
    arenas: Mapping[str, int]


@dataclass(frozen=True)
class Shortage:
    """Something finds no place. item: its position. region: where least is missing, at least `missing` bytes."""

    item: int
    region: str
    missing: int


@dataclass(frozen=True)
class Constants:
    """What placement must know of a layer's constants. reads: of each byte in one inference, on average."""

    layer: str
    bytes: int
    reads: float


@dataclass(frozen=True)
class _Arena:
    """Offsets by buffer, and the bytes of all."""

    offsets: Mapping[int, int]
    bytes: int


def assign_buffers(
    conflicts: Conflicts, regions: Sequence[RegionBudget], for_dma: Collection[int] = ()
) -> Assignment | Shortage:
    """Every buffer in a region: all in the fastest if they fit there, else those of most accesses per byte.

    What does not fit goes into the next region by the same rule, and so on. Where buffers are left over like this,
    larger ones take precedence over hotter ones. Whatever fits into one region that DMA reaches is placed in any case.

    regions: fastest first. for_dma: positions of buffers that must be where DMA reaches them.
    The result otherwise is the largest buffer left over when the largest go first.
    Raises ValueError without a region for them.
    """
    reached = [region for region in regions if region.dma]
    if not regions or (for_dma and not reached):
        raise ValueError("there is no memory region for all buffers")
    arenas: list[_Arena] = []
    order: list[int] = []
    left: list[int] = []
    for order in _orders(conflicts.buffers, for_dma):
        arenas, left = _fill(conflicts, regions, for_dma, order)
        if not left:
            return _assignment(regions, arenas)
    whole = _Arena(*place(conflicts))
    for region in reached:
        if whole.bytes <= region.bytes:
            return _assignment([region], [whole])
    return _shortage(conflicts, regions, arenas, order, left, for_dma)


def _orders(buffers: Sequence[BufferNeed], for_dma: Collection[int]) -> Iterator[list[int]]:
    """The hottest first; then those that are hard to place before them, as few as will do."""
    hottest = sorted(range(len(buffers)), key=lambda i: (-buffers[i].accesses, -buffers[i].bytes, i))
    hardest = sorted(range(len(buffers)), key=lambda i: (i not in for_dma, -buffers[i].bytes, i))
    count = 0
    while True:
        first = hardest[:count]
        yield first + [position for position in hottest if position not in first]
        if count >= len(buffers):
            return
        count = max(2 * count, 1)


def _fill(
    conflicts: Conflicts, regions: Sequence[RegionBudget], for_dma: Collection[int], order: Sequence[int]
) -> tuple[list[_Arena], list[int]]:
    """An arena for each region, and the buffers that are left over, in order."""
    left = list(order)
    arenas = []
    for region in regions:
        allowed = [position for position in left if region.dma or position not in for_dma]
        arena = _fill_region(conflicts, region.bytes, allowed)
        left = [position for position in left if position not in arena.offsets]
        arenas.append(arena)
    return arenas, left


def _fill_region(conflicts: Conflicts, size: int, order: Sequence[int]) -> _Arena:
    """As many of the buffers as fit, in order; one that does not fit leaves its chance to those behind it."""
    whole = _Arena(*place(conflicts, sorted(order)))
    if whole.bytes <= size:
        return whole
    members: list[int] = []
    best = _Arena({}, 0)
    for position in order:
        tried = sorted((*members, position))
        if live_bytes([conflicts.buffers[member] for member in tried]) > size:
            continue
        arena = _Arena(*place(conflicts, tried, orders=_QUICK))
        if arena.bytes <= size:
            members, best = tried, arena
    thorough = _Arena(*place(conflicts, members))
    return thorough if thorough.bytes < best.bytes else best


def _assignment(regions: Sequence[RegionBudget], arenas: Sequence[_Arena]) -> Assignment:
    used = [(region.name, arena) for region, arena in zip(regions, arenas, strict=True) if arena.offsets]
    return Assignment(
        {position: (name, offset) for name, arena in used for position, offset in arena.offsets.items()},
        {name: arena.bytes for name, arena in used},
    )


def _shortage(
    conflicts: Conflicts,
    regions: Sequence[RegionBudget],
    arenas: Sequence[_Arena],
    order: Sequence[int],
    left: Sequence[int],
    for_dma: Collection[int],
) -> Shortage:
    """What the largest buffer left over lacks beside those that went before it."""
    largest = max(left, key=lambda position: conflicts.buffers[position].bytes)
    before = order[: order.index(largest)]
    missing = [
        (place(conflicts, sorted((*arena.offsets.keys() & {*before}, largest)))[1] - region.bytes, region.name)
        for region, arena in zip(regions, arenas, strict=True)
        if region.dma or largest not in for_dma
    ]
    least, name = min(missing, key=lambda pair: pair[0])
    return Shortage(largest, name, least)


def constants_of(flow: Dataflow, stages: Sequence[StageTiles]) -> tuple[Constants, ...]:
    """The constants of every layer that has some. What tiles compute again is read again."""
    return tuple(
        _constants(flow, tiles, index)
        for tiles in stages
        for index in range(tiles.first, tiles.last)
        if flow.kernels[index].constants
    )


def _constants(flow: Dataflow, tiles: StageTiles, index: int) -> Constants:
    layer = flow.layers[index]
    output: Tensor = flow.model.graph.tensors[layer.output]
    size = sum(_aligned(array.bytes, _CONSTANT_ALIGNMENT) for array in flow.kernels[index].constants)
    # Without multiply-accumulates, as in tables, an output takes one of the constants.
    reads = max(flow.macs[index], output.elements) * computed_pixels(tiles, index) / flow.whole(layer.output).pixels
    return Constants(layer.name, size, reads / size)


def assign_weights(
    constants: Sequence[Constants], regions: Sequence[RegionBudget], arenas: Mapping[str, int]
) -> dict[str, str] | Shortage:
    """The regions of constants, by layer, where that is not the first region of flash.

    Those that are read most often per byte come first, into the fastest region that has room for all constants of a
    layer. Copies in RAM need flash too, all in its first region: programs are loaded from there.

    regions: fastest first, flash among them. arenas: bytes by region that buffers take first.
    The result otherwise is the largest of the constants left over. Raises ValueError without a region of flash.
    """
    flash = [region.name for region in regions if region.kind == "flash"]
    if not flash:
        raise ValueError("weights need a region of flash")
    free = {region.name: _free(region, arenas.get(region.name, 0)) for region in regions}
    ram = [region.name for region in regions if region.kind == "ram"]
    result: dict[str, str] = {}
    left: list[int] = []
    for index in sorted(range(len(constants)), key=lambda i: -constants[i].reads):
        item = constants[index]
        home = next((name for name in flash if item.bytes <= free[name]), None)
        if home is None:
            left.append(index)
            continue
        copies = ram if home == flash[0] else []
        copy = next((name for name in copies if item.bytes <= free[name]), None)
        for name in {home, copy or home}:
            free[name] -= item.bytes
        if copy is not None or home != flash[0]:
            result[item.layer] = copy or home
    if not left:
        return result
    roomiest = max(flash, key=lambda name: free[name])
    largest = max(left, key=lambda index: constants[index].bytes)
    return Shortage(largest, roomiest, sum(constants[index].bytes for index in left) - free[roomiest])


def linked_weights(flow: Dataflow, weights: Mapping[str, str], home: str) -> dict[str, int]:
    """Bytes of constants by region, each array at a multiple of 4 bytes, as generated C has them.

    weights: regions by layer, as assign_weights gives them. home: of all other layers.
    """
    sizes: dict[str, int] = {}
    for layer, kernel in zip(flow.layers, flow.kernels, strict=True):
        region = weights.get(layer.name, home)
        used = sum(_aligned(array.bytes, _CONSTANT_ALIGNMENT) for array in kernel.constants)
        if used:
            sizes[region] = sizes.get(region, 0) + used
    return sizes


def _free(region: RegionBudget, arena: int) -> int:
    """Bytes beside the arena, wherever the linker puts it."""
    if not arena:
        return region.bytes
    return max(region.bytes - arena, 0) // ARENA_ALIGNMENT * ARENA_ALIGNMENT


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment

# SPDX-License-Identifier: Apache-2.0
"""What must be in memory while each layer runs, as a function of the bits of maps.

This is what a search over bits asks thousands of times: sums instead of a placement. Maps count whole from the layer
that computes them to the last one that reads them, or by the tile where a stage is cut into patches. The planner lets
rows take each other's place and keeps no more than this alive, but its buffers may have gaps between them: whether a
plan fits is for the planner to say.
"""

from __future__ import annotations

__all__ = ["ExcessBytes", "HeldBuffer", "MemoryStep", "memory_steps"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mcukit.graph.graph import Graph
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lifetimes import buffers_of
from mcukit.planning.plan import Halo
from mcukit.planning.schedule import stage_calls
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.packing import pixel_bytes
from mcukit.quantized.precision import Precision, quantization_groups


@dataclass(frozen=True)
class HeldBuffer:
    """Pixels that are held of a map, or of several that overwrite each other where their bytes allow it.

    pixels: of each of them. maps: group, as in quantization_groups, and channels of each.
    """

    pixels: int
    maps: tuple[tuple[str, int], ...]

    def bytes(self, bits: Mapping[str, int]) -> int:
        """bits: by group; 8 where there are none."""
        sizes = [pixel_bytes(channels, bits.get(group, 8)) for group, channels in self.maps]
        return self.pixels * (sizes[0] if len(set(sizes)) == 1 else sum(sizes))


@dataclass(frozen=True)
class MemoryStep:
    """A moment that needs memory. layer, op: the name and operator of what runs. scratch: bytes of its working memory.

    buffers: what it reads and computes, and all that is kept for later.
    """

    layer: str
    op: str
    buffers: tuple[HeldBuffer, ...]
    scratch: int

    def bytes(self, bits: Mapping[str, int]) -> int:
        """bits: by group; 8 where there are none."""
        return self.scratch + sum(buffer.bytes(bits) for buffer in self.buffers)

    def groups(self) -> tuple[str, ...]:
        """The groups whose bits matter, each once."""
        return tuple(dict.fromkeys(group for buffer in self.buffers for group, _ in buffer.maps))


class ExcessBytes:
    """Bytes over a budget, summed over all steps: what a search over bits can bring down to 0.

    The peak alone would tell a search nothing where two steps are equally high. graph: the float network.
    """

    def __init__(self, graph: Graph, steps: Sequence[MemoryStep], budget: int) -> None:
        self._graph, self._groups = graph, quantization_groups(graph)
        self._steps = tuple(steps)
        self._budget = budget

    def __call__(self, precision: Precision) -> int:
        return sum(max(size - self._budget, 0) for size in self._sizes(precision))

    def with_room_for(self, precision: Precision) -> ExcessBytes:
        """The same with a budget that these bits just fit.

        A plan may need less than what all steps keep alive, since rows of maps take each other's place.
        """
        return ExcessBytes(self._graph, self._steps, max(self._budget, *self._sizes(precision)))

    def _sizes(self, precision: Precision) -> list[int]:
        bits = {self._groups[name]: width for name, width in precision.maps.items()}
        return [step.bytes(bits) for step in self._steps]


def memory_steps(
    graph: Graph, flow: Dataflow, stages: Sequence[StageTiles], *, pushed: bool = False
) -> tuple[MemoryStep, ...]:
    """The moments of these stages of a plan, in the order in which they come, each once.

    graph: the float network; flow: of its int8 form, whose working memory stands for that of narrower maps.
    pushed: whether rows of the input are pushed into the first stage.
    A stage whose rows advance is one moment: all its rings are alive together; its most demanding layer stands for it.
    """
    keys = _float_groups(graph, flow)
    steps: list[MemoryStep] = []
    for tiles in stages:
        if tiles.stage.halo is Halo.KEPT:
            steps.append(_streaming(flow, keys, tiles, pushed and tiles.first == 0))
        else:
            steps.extend(_layers(flow, keys, tiles))
    return tuple(dict.fromkeys(steps))


def _float_groups(graph: Graph, flow: Dataflow) -> dict[str, str]:
    """For every map of the int8 network the group of the float network whose bits it has.

    The int8 network may have maps of its own, requantized for a concatenation: they have the concatenation's bits.
    """
    groups, integer_groups = quantization_groups(graph), quantization_groups(flow.model.graph)
    known = {integer_groups[name]: group for name, group in groups.items()}
    return {name: known[group] for name, group in integer_groups.items()}


def _layers(flow: Dataflow, keys: Mapping[str, str], tiles: StageTiles) -> Iterator[MemoryStep]:
    """One moment for each layer, in each tile."""
    for position, regions in tiles.regions.items():
        for index in range(tiles.first, tiles.last):
            if not regions[index - tiles.first].pixels and tiles.stage.tiled:
                continue
            buffers = [
                HeldBuffer(pixels, ((keys[name], flow.shape(name)[2]),))
                for name in flow.producer
                if (pixels := _held_pixels(flow, tiles, position, name, index))
            ]
            layer, scratch = flow.layers[index], flow.kernels[index].scratch_bytes
            yield MemoryStep(layer.name, layer.node.operator.op_name, tuple(buffers), scratch)


def _held_pixels(flow: Dataflow, tiles: StageTiles, position: tuple[int, int], name: str, index: int) -> int:
    """Pixels of a map that are in memory while a layer of the stage runs in one tile."""
    producer, last = flow.producer[name], _last_reader(flow, name)
    whole = flow.whole(name).pixels
    if not tiles.stage.tiled:
        return whole if producer <= index <= last else 0
    if producer < tiles.first:
        # Every tile reads it again.
        return whole if last >= tiles.first else 0
    if producer >= tiles.last:
        return 0
    if name in tiles.outgoing or name in flow.viewed:
        # The tiles before this one have left their shares of it.
        return whole
    return tiles.regions[position][producer - tiles.first].pixels if producer <= index <= last else 0


def _last_reader(flow: Dataflow, name: str) -> int:
    """The last layer that reads a map; one beyond all where it is an output of the network."""
    if name in flow.outputs:
        return len(flow.layers)
    return max(flow.readers[name], default=flow.producer[name])


def _streaming(flow: Dataflow, keys: Mapping[str, str], tiles: StageTiles, pushed: bool) -> MemoryStep:
    """All rings of a stage, as the planner finds them: how many rows they hold does not depend on bits."""
    needs, _ = buffers_of(flow, [tiles], list(stage_calls(flow, tiles, 0, pushed)), pushed)
    buffers = tuple(
        HeldBuffer(need.rows * need.columns, tuple((keys[name], flow.shape(name)[2]) for name in need.names))
        for need in needs
        if not need.scratch
    )
    scratch = max((need.bytes for need in needs if need.scratch), default=0)
    inner = [need for need in needs if not need.scratch and flow.producer[need.names[0]] >= tiles.first]
    largest = max(inner, key=lambda need: need.bytes)
    layer = flow.layers[flow.producer[largest.names[0]]]
    return MemoryStep(layer.name, layer.node.operator.op_name, buffers, scratch)

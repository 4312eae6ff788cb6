# SPDX-License-Identifier: Apache-2.0
"""BitOPs: what a network's multiplications cost when their operands are narrow.

A layer's BitOPs are its multiply-accumulates, with all that tiles compute again, times the bits of its weights, times
the bits of the map that it reads. Convolutions, depthwise convolutions and fully connected layers count, and nothing
else: that is how the literature on mixed precision counts. BitOPs are no time: 8 and 4 bits multiply at the same speed
on most cores.
"""

from __future__ import annotations

__all__ = [
    "Bitops",
    "BitopsCost",
    "LayerBitops",
    "macs_of_network",
    "macs_of_stages",
    "macs_of_tiles",
    "quantized_bitops",
]

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.tiles import StageTiles, computed_pixels
from mcukit.quantized.precision import Precision, check_precision, quantization_groups


@dataclass(frozen=True)
class LayerBitops:
    """What a layer's multiplications cost.

    name, op: the node and its operator. macs: with what tiles compute again. input_bits, output_bits: of the map that
    it multiplies and of the one that it computes.
    """

    name: str
    op: str
    macs: int
    input_bits: int
    output_bits: int
    weight_bits: int

    @property
    def bitops(self) -> int:
        return self.macs * self.input_bits * self.weight_bits


@dataclass(frozen=True)
class Bitops:
    """layers: those with weights, in the model's order."""

    layers: tuple[LayerBitops, ...]

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def bitops(self) -> int:
        return sum(layer.bitops for layer in self.layers)

    @property
    def reduction(self) -> float:
        """How many times fewer BitOPs these are than with 8 bits everywhere; 1.0 where there are none."""
        return self.macs * 64 / self.bitops if self.bitops else 1.0


class BitopsCost:
    """Counts the BitOPs of one float network at any precision; quick enough for searches.

    macs: of each layer, by node name, where tiles compute some again: see `macs_of_stages` and `macs_of_tiles`. Layers
    that are missing are left out. By default every output is computed once.
    """

    def __init__(self, graph: Graph, macs: Mapping[str, int] | None = None) -> None:
        self.graph = graph
        self._groups = quantization_groups(graph)
        once = macs_of_network(graph)
        counted = once if macs is None else {name: macs[name] for name in once if name in macs}
        self._layers = tuple(
            (node, counted[node.name], self._groups[graph.map_inputs(node)[0]])
            for node in graph.nodes
            if counted.get(node.name)
        )

    def __call__(self, precision: Precision) -> int:
        """All BitOPs. The precision is trusted: `count` checks it."""
        bits = {self._groups[name]: width for name, width in precision.maps.items()}
        weights = precision.weights
        return sum(macs * bits.get(group, 8) * weights.get(node.name, 8) for node, macs, group in self._layers)

    def count(self, precision: Precision) -> Bitops:
        """Layer by layer. Raises McukitError "bad-precision" with everything that is wrong with the precision."""
        bits = check_precision(self.graph, precision)
        return Bitops(
            tuple(
                LayerBitops(
                    node.name,
                    node.operator.op_name,
                    macs,
                    bits[group],
                    bits[node.output],
                    precision.weight_bits(node.name),
                )
                for node, macs, group in self._layers
            )
        )

    def of_readers(self, weights: Mapping[str, int]) -> dict[str, int]:
        """For every group of maps the BitOPs of all layers that read one of them, per bit of the maps.

        weights: bits of weights by node name, 8 where there are none.
        """
        result = dict.fromkeys(self._groups.values(), 0)
        for node, macs, group in self._layers:
            result[group] += macs * weights.get(node.name, 8)
        return result


def quantized_bitops(graph: Graph, macs: Mapping[str, int] | None = None) -> Bitops:
    """BitOPs of a quantized network, whose tensors have their bits themselves. macs: as of BitopsCost."""
    counted = macs_of_network(graph) if macs is None else macs
    return Bitops(tuple(_quantized_layer(graph, node, counted[node.name]) for node in _counted_nodes(graph, counted)))


def _quantized_layer(graph: Graph, node: Node, macs: int) -> LayerBitops:
    source, weights = graph.node_inputs(node)[:2]
    bits = [_bits(tensor) for tensor in (source, graph.tensors[node.output], weights)]
    return LayerBitops(node.name, node.operator.op_name, macs, *bits)


def _bits(tensor: Tensor) -> int:
    if tensor.quantization is None:
        raise ValueError(f"'{tensor.name}' is not quantized")
    return tensor.quantization.bits


def _counted_nodes(graph: Graph, macs: Mapping[str, int]) -> list[Node]:
    return [node for node in graph.nodes if node.operator.has_weights and macs.get(node.name)]


def macs_of_network(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates of every layer with weights, by node name, every output computed once."""
    return {
        node.name: node.operator.macs(graph.node_inputs(node), graph.tensors[node.output])
        for node in graph.nodes
        if node.operator.has_weights
    }


def macs_of_stages(flow: Dataflow, stages: Sequence[StageTiles]) -> dict[str, int]:
    """Multiply-accumulates of every layer of these stages, by its name, with what tiles compute again."""
    return {
        flow.layers[index].name: _macs_of_pixels(flow, index, computed_pixels(tiles, index))
        for tiles in stages
        for index in range(tiles.first, tiles.last)
    }


def macs_of_tiles(flow: Dataflow, tiles: StageTiles, positions: Collection[tuple[int, int]]) -> dict[str, int]:
    """The same for some tiles of one stage, by row and column of its grid."""
    return {
        flow.layers[index].name: _macs_of_pixels(
            flow, index, sum(tiles.regions[position][index - tiles.first].pixels for position in positions)
        )
        for index in range(tiles.first, tiles.last)
    }


def _macs_of_pixels(flow: Dataflow, index: int, pixels: int) -> int:
    # Every pixel of a map costs the same.
    return flow.macs[index] * pixels // flow.whole(flow.layers[index].output).pixels

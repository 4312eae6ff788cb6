# SPDX-License-Identifier: Apache-2.0
"""Instructions as what a search over bits makes less: what the kernels of these bits were measured to take.

BitOPs say nothing about time: whether 4 bits are quicker than 8 depends on the core, on the kernels, and on the bits
of whatever else a layer reads and writes. So every layer is asked for with the bits of all of its operands.
"""

from __future__ import annotations

__all__ = ["InstructionCost"]

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mcukit.calibration.ranges import Range
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.graph.region import whole_region
from mcukit.planning.costs import CostTable
from mcukit.planning.kernel_choice import with_chosen_kernel
from mcukit.quantized.integer import Layer, MapForm
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.precision import INT8, Precision, quantization_groups, widest_choice
from mcukit.quantized.quantize import quantize_graph


@dataclass(frozen=True)
class _Widths:
    """Bits of what a layer reads, of what it computes and of its weights."""

    inputs: tuple[int, ...]
    output: int
    weights: int


class InstructionCost:
    """Estimated instructions of one float network at any precision, each layer computed once; quick enough to search.

    ranges: calibrated range of every map, by name. costs: of the core. kernels: the set of C kernels; of it and those
    before it each layer has the one that takes fewest instructions.
    """

    def __init__(
        self, graph: Graph, ranges: Mapping[str, Range], costs: CostTable, kernels: KernelSet = KernelSet.PORTABLE
    ) -> None:
        self._costs, self._kernels = costs, kernels
        choices = widest_choice(graph)
        names = [node.name for node in graph.nodes if node.operator.has_weights]
        # Each operand of each layer is in one of these with the bits that it may have; those that can't be that narrow
        # have the fewest that they can.
        self._graphs = {
            bits: quantize_graph(
                graph,
                ranges,
                Precision(
                    {group: min(width for width in widths if width >= bits) for group, widths in choices.items()},
                    dict.fromkeys(names, bits),
                ),
            )
            for bits in MAP_BITS
        }
        self._groups = quantization_groups(graph)
        self._known: dict[tuple[str, _Widths], int] = {}

    def __call__(self, precision: Precision) -> int:
        """All instructions. The precision is trusted: mcukit.quantized.precision.check_precision checks it."""
        return sum(self.layers(precision).values())

    def layers(self, precision: Precision = INT8) -> dict[str, int]:
        """Those of each layer, by node name."""
        bits = {self._groups[name]: width for name, width in precision.maps.items()}
        return {node.name: self._of_node(node, bits, precision) for node in self._graphs[8].nodes}

    def _of_node(self, node: Node, bits: Mapping[str, int], precision: Precision) -> int:
        def width(name: str) -> int:
            # Maps that quantization has put between two layers keep 8 bits.
            return bits.get(self._groups.get(name, name), 8)

        maps = self._graphs[8].map_inputs(node)
        widths = _Widths(tuple(map(width, maps)), width(node.output), precision.weight_bits(node.name))
        key = node.name, widths
        if key not in self._known:
            self._known[key] = self._estimate(node, widths)
        return self._known[key]

    def _estimate(self, node: Node, widths: _Widths) -> int:
        maps = self._graphs[8].map_inputs(node)
        width = dict(zip(maps, widths.inputs, strict=True))
        constants = {each.name: each for each in self._graphs[widths.weights].nodes}[node.name].inputs
        inputs = [
            self._graphs[width[name]].tensors[name] if name in width else self._graphs[widths.weights].tensors[constant]
            for name, constant in zip(node.inputs, constants, strict=True)
        ]
        output = self._graphs[widths.output].tensors[node.output]
        forms = tuple(MapForm.of(self._graphs[width[name]].tensors[name]) for name in maps)
        operator = node.operator.lower(inputs, output)
        named = replace(node, inputs=tuple(tensor.name for tensor in inputs))
        layer, around = Layer(named, operator, maps, forms, MapForm.of(output)), _around(named, inputs, output)
        chosen = with_chosen_kernel(layer, around, self._costs, self._kernels)
        return self._costs.instructions(chosen, around, whole_region(output))


def _around(node: Node, inputs: list[Tensor], output: Tensor) -> Graph:
    """One layer as a network of its own."""
    tensors = {tensor.name: tensor for tensor in (*inputs, output)}
    sources = tuple(dict.fromkeys(tensor.name for tensor in inputs if tensor.data is None))
    return Graph(node.name, tensors, (node,), sources, (output.name,))

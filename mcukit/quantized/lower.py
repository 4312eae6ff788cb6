# SPDX-License-Identifier: Apache-2.0
"""From a quantized Graph to the integer model, with the proof that no accumulator overflows."""

from __future__ import annotations

__all__ = ["lower"]

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph
from mcukit.quantized.integer import IntegerModel, Layer, MapForm
from mcukit.quantized.kernel_sets import KernelSet

ACCUMULATOR_LIMIT = 1 << 31


def lower(graph: Graph, kernels: KernelSet = KernelSet.PORTABLE) -> IntegerModel:
    """Integer arithmetic for every node, and the C kernels of a set for it.

    Raises McukitError with all nodes at once: "accumulator-overflow", "unsupported-quantization", "unsupported-bits".
    """
    layers = []
    problems = []
    for node in graph.nodes:
        where = f"node '{node.name}' ({node.operator.op_name})"
        maps = graph.map_inputs(node)
        try:
            operator = node.operator.lower(graph.node_inputs(node), graph.tensors[node.output])
            forms = tuple(MapForm.of(graph.tensors[name]) for name in maps)
            layer = Layer(node, operator, maps, forms, MapForm.of(graph.tensors[node.output]), kernels)
            _ = layer.kernel  # which raises where there is none for these bits
        except McukitError as error:
            problems += [Problem(p.code, p.message, p.where or where, p.hint) for p in error.problems]
            continue
        bound = operator.largest_accumulator()
        if bound >= ACCUMULATOR_LIMIT:
            problems.append(
                Problem(
                    "accumulator-overflow",
                    f"its accumulator can reach {bound:,}, and 32 bits hold {ACCUMULATOR_LIMIT - 1:,}",
                    where,
                    "split the layer into two over its input channels, or train with smaller biases",
                )
            )
        layers.append(layer)
    if problems:
        raise McukitError.collect(problems)
    return IntegerModel(graph, tuple(layers), kernels=kernels)

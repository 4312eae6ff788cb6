# SPDX-License-Identifier: Apache-2.0
"""Instructions of any precision: the estimates of the whole quantized network, without quantizing it."""

from __future__ import annotations

import random

import pytest

from mcukit.calibration.ranges import Range
from mcukit.graph.graph import Graph
from mcukit.graph.region import whole_region
from mcukit.planning.costs import load_costs
from mcukit.planning.kernel_choice import with_chosen_kernel
from mcukit.precision.instruction_cost import InstructionCost
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import INT8, Precision, widest_choice
from mcukit.quantized.quantize import quantize_graph
from tests.float_networks import classifier
from tests.planning.networks import NETWORKS


def precisions(graph: Graph, count: int) -> list[Precision]:
    rng, choices = random.Random(1), widest_choice(graph)
    names = [node.name for node in graph.nodes if node.operator.has_weights]
    return [INT8] + [
        Precision(
            {group: rng.choice(widths) for group, widths in choices.items()},
            {name: rng.choice((8, 4, 2)) for name in names},
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("kernels", KernelSet)
@pytest.mark.parametrize("name", ["classifier", *NETWORKS])
def test_estimates_are_those_of_the_quantized_network(name: str, kernels: KernelSet) -> None:
    graph = classifier() if name == "classifier" else NETWORKS[name]()
    ranges = {tensor.name: Range(-1.0, 3.0) for tensor in graph.maps()}
    costs = load_costs("cortex-m4")
    cost = InstructionCost(graph, ranges, costs, kernels)
    for precision in precisions(graph, 6):
        model = lower(quantize_graph(graph, ranges, precision), kernels)
        chosen = [with_chosen_kernel(layer, model.graph, costs, kernels) for layer in model.layers]
        expected = {
            layer.name: costs.instructions(layer, model.graph, whole_region(model.graph.tensors[layer.output]))
            for layer in chosen
        }
        assert cost.layers(precision) == expected
        assert cost(precision) == sum(expected.values())

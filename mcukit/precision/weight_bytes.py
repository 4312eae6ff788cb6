# SPDX-License-Identifier: Apache-2.0
"""Flash that weights take, as a function of their bits: what a search over bits asks thousands of times."""

from __future__ import annotations

__all__ = ["ExcessWeights"]

from mcukit.graph.graph import Graph
from mcukit.quantized.precision import Precision


class ExcessWeights:
    """Bytes of weights over a budget. graph: the float network.

    Constants that have the same size whatever the bits are, and what fills weights up to whole words, are not counted:
    whether a network fits is for its code to say.
    """

    def __init__(self, graph: Graph, budget: int = 0) -> None:
        nodes = [node for node in graph.nodes if node.operator.has_weights]
        self._elements = {node.name: graph.tensors[node.inputs[1]].elements for node in nodes}
        self._graph, self._budget = graph, budget

    def __call__(self, precision: Precision) -> int:
        return max(self._bytes(precision) - self._budget, 0)

    def with_room_for(self, precision: Precision) -> ExcessWeights:
        """The same with a budget that these bits just fit."""
        return ExcessWeights(self._graph, max(self._budget, self._bytes(precision)))

    def _bytes(self, precision: Precision) -> int:
        return sum(count * precision.weights.get(name, 8) // 8 for name, count in self._elements.items())

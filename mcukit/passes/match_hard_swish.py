# SPDX-License-Identifier: Apache-2.0
"""Recognizes x * HardSigmoid(x), written out in one of many ways, as HardSwish."""

from __future__ import annotations

__all__ = ["match_hard_swish"]

import math
from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np

from mcukit.graph.graph import Graph, Node
from mcukit.ops.activation import RELU6
from mcukit.ops.add import Add
from mcukit.ops.hard_sigmoid import HardSigmoid
from mcukit.ops.hard_swish import HardSwish
from mcukit.ops.mul import Mul
from mcukit.ops.relu import Clip

_TOLERANCE = 1e-5
"""Relative; exporters write 1/6 with anything from five digits on."""


def match_hard_swish(graph: Graph) -> Graph:
    """Requires a float graph; nothing is done where the result is quantized.

    Ensures that x * HardSigmoid(x) with alpha 1/6 and beta 0.5, and x * clip(x + 3, 0, 6) / 6 with its factors in
    any order, are HardSwish nodes. They have the name and output of the last multiplication; what nothing else
    reads is left for remove_dead.
    """
    producers = graph.producers()
    return graph.replace(nodes=tuple(_matched(graph, producers, node) for node in graph.nodes))


def _matched(graph: Graph, producers: Mapping[str, Node], node: Node) -> Node:
    source = _hard_swish_input(graph, producers, node)
    if source is None or graph.tensors[node.output].quantization is not None:
        return node
    return Node(node.name, HardSwish(), (source,), node.output)


def _hard_swish_input(graph: Graph, producers: Mapping[str, Node], node: Node) -> str | None:
    """x, if the node computes HardSwish(x)."""
    for factors in _products(producers, node):
        if len(factors) == 2:
            for source, gate in permutations(factors):
                if _is_hard_sigmoid(producers.get(gate), source):
                    return _checked(graph, source, node)
        for source, gate, sixth in permutations(factors, 3):
            if _is_constant(graph, sixth, 1 / 6) and _is_clipped_sum(graph, producers, gate, source):
                return _checked(graph, source, node)
    return None


def _products(producers: Mapping[str, Node], node: Node) -> Iterator[tuple[str, ...]]:
    """The factors of a multiplication: its two operands, and three with either of them taken apart."""
    if not isinstance(node.operator, Mul) or not node.operator.clamp.is_unbounded:
        return
    yield node.inputs
    for i in range(2):
        inner = producers.get(node.inputs[i])
        if inner is not None and isinstance(inner.operator, Mul) and inner.operator.clamp.is_unbounded:
            yield (*inner.inputs, node.inputs[1 - i])


def _is_hard_sigmoid(gate: Node | None, source: str) -> bool:
    if gate is None or not isinstance(gate.operator, HardSigmoid) or gate.inputs[0] != source:
        return False
    return math.isclose(gate.operator.alpha, 1 / 6, rel_tol=_TOLERANCE) and gate.operator.beta == 0.5


def _is_clipped_sum(graph: Graph, producers: Mapping[str, Node], gate: str, source: str) -> bool:
    """Whether `gate` is clip(source + 3, 0, 6), as two nodes or as an Add with its clamp."""
    node = producers.get(gate)
    if node is not None and isinstance(node.operator, Clip) and node.operator.clamp == RELU6:
        total = producers.get(node.inputs[0])
        needs_clamp = False
    else:
        total, needs_clamp = node, True
    if total is None or not isinstance(total.operator, Add):
        return False
    clamp = total.operator.clamp
    if not (clamp == RELU6 if needs_clamp else clamp.is_unbounded):
        return False
    return any(a == source and _is_constant(graph, b, 3.0) for a, b in permutations(total.inputs))


def _is_constant(graph: Graph, name: str, value: float) -> bool:
    data = graph.tensors[name].data
    return data is not None and bool(np.allclose(data.astype(np.float64), value, rtol=_TOLERANCE, atol=0.0))


def _checked(graph: Graph, source: str, node: Node) -> str | None:
    tensor = graph.tensors[source]
    return source if tensor.data is None and tensor.shape == graph.tensors[node.output].shape else None

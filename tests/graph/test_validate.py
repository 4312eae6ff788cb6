# SPDX-License-Identifier: Apache-2.0
"""Graphs that no later stage could work with are refused, with everything that is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph import Graph, Node, Quantization, Tensor
from mcukit.graph.validate import MAX_ELEMENTS, validate
from mcukit.ops.activation import RELU
from mcukit.ops.add import Add
from mcukit.ops.relu import Clip

SHAPE = (1, 2, 2, 3)
MAPS = [Tensor(name, SHAPE) for name in "abc"]
NODES = (Node("first", Clip(RELU), ("a",), "b"), Node("second", Add(), ("b", "a"), "c"))
VALID = Graph("valid", {tensor.name: tensor for tensor in MAPS}, NODES, ("a",), ("c",))


def with_tensor(tensor: Tensor, *, name: str = "") -> Graph:
    return replace(VALID, tensors={**VALID.tensors, name or tensor.name: tensor})


def with_nodes(*nodes: Node) -> Graph:
    return replace(VALID, nodes=nodes)


def constant(*values: float) -> Tensor:
    return Tensor("k", (1, 1, 1, 3), np.array(values, np.float32).reshape(1, 1, 1, -1))


INVALID = {
    "shape with zero": with_tensor(Tensor("b", (1, 0, 2, 3))),
    "shape with a negative size": with_tensor(Tensor("b", (1, -2, -2, 3))),
    "too many elements": with_tensor(Tensor("b", (1, MAX_ELEMENTS, 2, 3))),
    "rank of a map": with_tensor(Tensor("b", (1, 1, 2, 2, 3))),
    "two names": with_tensor(Tensor("other", SHAPE), name="b"),
    "operator of another shape": with_tensor(Tensor("b", (1, 2, 2, 4))),
    "constant of another shape": with_tensor(constant(1, 2)),
    "not a number": with_tensor(constant(1, 2, np.nan)),
    "infinite": with_tensor(constant(1, 2, np.inf)),
    "scale of zero": with_tensor(Tensor("b", SHAPE, quantization=Quantization.per_tensor(0.0, 0))),
    "scale that is not finite": with_tensor(Tensor("b", SHAPE, quantization=Quantization.per_tensor(np.inf, 0))),
    "wrong order": with_nodes(*reversed(NODES)),
    "cycle": with_nodes(Node("first", Clip(RELU), ("c",), "b"), NODES[1]),
    "produced twice": with_nodes(*NODES, Node("third", Clip(RELU), ("a",), "b")),
    "input produced": with_nodes(*NODES, Node("third", Clip(RELU), ("b",), "a")),
    "reads nothing": with_nodes(NODES[0], Node("second", Add(), ("b", "gone"), "c")),
    "writes nothing": with_nodes(*NODES, Node("third", Clip(RELU), ("a",), "gone")),
    "node names": with_nodes(NODES[0], replace(NODES[1], name="first")),
    "no input": replace(VALID, inputs=()),
    "no output": replace(VALID, outputs=()),
    "output twice": replace(VALID, outputs=("c", "c")),
    "unknown output": replace(VALID, outputs=("gone",)),
    "output without producer": with_nodes(NODES[0]),
    "constant as output": replace(with_tensor(constant(1, 2, 3)), outputs=("k",)),
    "operands that do not broadcast": with_tensor(Tensor("a", (1, 3, 3, 3))),
}


def test_valid() -> None:
    validate(VALID)
    validate(with_tensor(constant(1, 2, 3)))


@pytest.mark.parametrize("name", INVALID)
def test_invalid(name: str) -> None:
    with pytest.raises(McukitError) as caught:
        validate(INVALID[name])
    expected = {"non-finite-weights"} if name in ("not a number", "infinite") else {"invalid-model"}
    assert {problem.code for problem in caught.value.problems} == expected


def test_all_problems_at_once() -> None:
    graph = replace(VALID, outputs=("gone",), nodes=(replace(NODES[0], inputs=("lost",)), NODES[1]))
    with pytest.raises(McukitError) as caught:
        validate(graph)
    assert len(caught.value.problems) == 3

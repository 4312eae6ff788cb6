# SPDX-License-Identifier: Apache-2.0
"""Views, layers in place and outputs: who shares memory with whom, and who must not."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.activation import RELU
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.planning.plan import Plan
from mcukit.planning.planner import plan_layers
from mcukit.quantized.lower import lower

RECTIFY = Clip(RELU)
POOL = AveragePool(Window((2, 2), (2, 2)))
Step = tuple[str, Operator, tuple[str, ...]]
FLATTEN_IN: Step = ("v", Reshape((1, 256)), ("in",))
FLATTEN_A: Step = ("v", Reshape((1, 256)), ("a",))


def plan(steps: list[Step], outputs: tuple[str, ...]) -> Plan:
    """Plan of a network on an 8x8x4 input "in"; each step names its output."""
    same = Quantization.per_tensor(0.1, 0)
    tensors = {"in": Tensor("in", (1, 8, 8, 4), None, same)}
    nodes = []
    for name, operator, inputs in steps:
        shape = operator.output_shape([tensors[i] for i in inputs])
        tensors[name] = Tensor(name, shape, None, same)
        nodes.append(Node(name, operator, inputs, name))
    return plan_layers(lower(Graph("net", tensors, tuple(nodes), ("in",), outputs)))


def test_a_chain_in_place_needs_one_map() -> None:
    planned = plan([("a", RECTIFY, ("in",)), ("b", RECTIFY, ("a",))], ("b",))
    assert {place.offset for place in planned.maps.values()} == {0}
    assert planned.arena_bytes == 256


@pytest.mark.parametrize(
    ("steps", "outputs", "apart"),
    [
        ([("a", RECTIFY, ("in",)), ("b", Add(), ("a", "in"))], ("b",), ("in", "a")),
        ([("a", RECTIFY, ("in",)), ("b", RECTIFY, ("a",))], ("a", "b"), ("a", "b")),
        ([FLATTEN_IN, ("a", RECTIFY, ("v",)), ("b", POOL, ("in",))], ("a", "b"), ("in", "a")),
        ([("a", RECTIFY, ("in",)), FLATTEN_A, ("b", RECTIFY, ("v",))], ("a", "b"), ("a", "b")),
        ([("a", RECTIFY, ("in",)), FLATTEN_A, ("b", RECTIFY, ("a",))], ("v", "b"), ("v", "b")),
        ([("p", POOL, ("in",)), ("a", RECTIFY, ("in",))], ("p", "a"), ("p", "a")),
    ],
    ids=["read later", "output", "read through its view", "output with a view", "its view is an output", "outputs"],
)  # fmt: skip
def test_what_is_still_needed_is_not_overwritten(
    steps: list[Step], outputs: tuple[str, ...], apart: tuple[str, str]
) -> None:
    first, second = (plan(steps, outputs).maps[name] for name in apart)
    assert first.offset + first.bytes <= second.offset or second.offset + second.bytes <= first.offset


def test_a_view_lies_where_its_map_lies() -> None:
    planned = plan([("p", POOL, ("in",)), ("v", Reshape((1, 64)), ("p",)), ("w", Reshape((1, 8, 8)), ("v",))], ("w",))
    assert planned.maps["v"].offset == planned.maps["w"].offset == planned.maps["p"].offset
    assert planned.maps["p"].rows == 4
    assert planned.maps["v"].rows == 1


def test_the_last_map_may_be_the_one_that_is_overwritten() -> None:
    """An addition may write into either operand that nobody else reads."""
    planned = plan([("a", POOL, ("in",)), ("b", POOL, ("in",)), ("s", Add(), ("a", "b"))], ("s",))
    assert planned.maps["s"].offset in {planned.maps["a"].offset, planned.maps["b"].offset}


def test_the_input_as_output_is_kept() -> None:
    planned = plan([("a", RECTIFY, ("in",))], ("in", "a"))
    assert planned.maps["a"].offset != planned.maps["in"].offset
    assert planned.arena_bytes == 512


def test_a_map_may_be_called_like_the_scratch_of_a_layer() -> None:
    """Names come from the model: one that looks like this module's own must not share memory with it."""
    same, bias = Quantization.per_tensor(0.1, 0), Quantization.per_tensor(0.01, 0, bits=32)
    tensors = [
        Tensor("conv/scratch", (1, 4, 4, 2), None, same),
        Tensor("w", (3, 3, 3, 2), np.ones((3, 3, 3, 2), np.int8), same),
        Tensor("b", (3,), np.zeros(3, np.int32), bias),
        Tensor("out", (1, 2, 2, 3), None, same),
    ]
    node = Node("conv", Conv2d(Window((3, 3))), ("conv/scratch", "w", "b"), "out")
    graph = Graph("net", {tensor.name: tensor for tensor in tensors}, (node,), ("conv/scratch",), ("out",))
    planned = plan_layers(lower(graph))
    scratch, source = planned.scratch["conv"], planned.maps["conv/scratch"]
    assert scratch.bytes == 36
    assert scratch.offset + scratch.bytes <= source.offset or source.offset + source.bytes <= scratch.offset

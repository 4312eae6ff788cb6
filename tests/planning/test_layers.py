# SPDX-License-Identifier: Apache-2.0
"""Views, layers in place and outputs: who shares memory with whom, and who must not."""

from __future__ import annotations

import pytest

from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.activation import RELU
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.planning.layers import plan_layers
from mcukit.planning.plan import Plan
from mcukit.quantized.lower import lower

RELU_LAYER = Clip(RELU)
POOL = AveragePool(Window((2, 2), (2, 2)))
Step = tuple[str, Operator, tuple[str, ...]]


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
    planned = plan([("a", RELU_LAYER, ("in",)), ("b", RELU_LAYER, ("a",))], ("b",))
    assert {place.offset for place in planned.maps.values()} == {0}
    assert planned.arena_bytes == 256


@pytest.mark.parametrize(
    ("steps", "outputs", "apart"),
    [
        ([("a", RELU_LAYER, ("in",)), ("b", Add(), ("a", "in"))], ("b",), ("in", "a")),
        ([("a", RELU_LAYER, ("in",)), ("b", RELU_LAYER, ("a",))], ("a", "b"), ("a", "b")),
        ([("v", Reshape((1, 256)), ("in",)), ("a", RELU_LAYER, ("v",)), ("b", POOL, ("in",))], ("a", "b"), ("in", "a")),
        ([("a", RELU_LAYER, ("in",)), ("v", Reshape((1, 256)), ("a",)), ("b", RELU_LAYER, ("v",))], ("a", "b"), ("a", "b")),
        ([("a", RELU_LAYER, ("in",)), ("v", Reshape((1, 256)), ("a",)), ("b", RELU_LAYER, ("a",))], ("v", "b"), ("v", "b")),
        ([("p", POOL, ("in",)), ("a", RELU_LAYER, ("in",))], ("p", "a"), ("p", "a")),
    ],
    ids=["read later", "an output", "read through its view", "an output with a view", "its view is an output", "outputs"],
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
    planned = plan([("a", RELU_LAYER, ("in",))], ("in", "a"))
    assert planned.maps["a"].offset != planned.maps["in"].offset
    assert planned.arena_bytes == 512


def test_the_plan_as_json_holds_every_map() -> None:
    planned = plan([("p", POOL, ("in",)), ("a", RELU_LAYER, ("p",))], ("a",))
    described = planned.to_json()
    assert described["arena_bytes"] == planned.arena_bytes
    assert isinstance(described["maps"], list)
    assert [entry["name"] for entry in described["maps"]] == ["in", "p", "a"]

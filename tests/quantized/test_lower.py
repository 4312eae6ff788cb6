# SPDX-License-Identifier: Apache-2.0
"""What lowering refuses, it refuses with the node's name, and all of it at once."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.requantize import Requantize
from mcukit.ops.window import Window
from mcukit.quantized.lower import ACCUMULATOR_LIMIT, lower


def chain(*biases: int) -> Graph:
    """1x1 convolutions one after the other, of one channel, weight 127 and these biases."""
    unit = Quantization.per_tensor(1.0, 0)
    tensors = {"m0": Tensor("m0", (1, 2, 2, 1), None, unit)}
    nodes = []
    for index, bias in enumerate(biases):
        names = f"m{index}", f"w{index}", f"b{index}", f"m{index + 1}"
        tensors[names[1]] = Tensor(names[1], (1, 1, 1, 1), np.full((1, 1, 1, 1), 127, np.int8), unit)
        tensors[names[2]] = Tensor(names[2], (1,), np.array([bias], np.int32), Quantization.per_tensor(1.0, 0, bits=32))
        tensors[names[3]] = Tensor(names[3], (1, 2, 2, 1), None, Quantization.per_tensor(1e6, 0))
        nodes.append(Node(f"conv{index}", Conv2d(Window((1, 1))), names[:3], names[3]))
    # Every map but the first has a huge scale, so that no factor is above 1.
    return Graph("chain", tensors, tuple(nodes), ("m0",), (f"m{len(biases)}",))


def test_layers_follow_the_nodes() -> None:
    model = lower(chain(5, -5))
    assert [layer.name for layer in model.layers] == ["conv0", "conv1"]
    assert [layer.inputs for layer in model.layers] == [("m0",), ("m1",)]
    assert model.weight_bytes == 2 * (8 + 4 + 4 + 1)


def test_the_bound_is_that_of_the_worst_input() -> None:
    largest = ACCUMULATOR_LIMIT - 1 - 128 * 127
    assert lower(chain(largest)).layers[0].operator.largest_accumulator() == ACCUMULATOR_LIMIT - 1
    with pytest.raises(McukitError):
        lower(chain(largest + 1))


def test_every_overflow_is_named() -> None:
    with pytest.raises(McukitError) as caught:
        lower(chain((1 << 31) - 1, 0, -(1 << 31)))
    problems = caught.value.problems
    assert [problem.code for problem in problems] == ["accumulator-overflow"] * 2
    assert [problem.where for problem in problems] == ["node 'conv0' (conv2d)", "node 'conv2' (conv2d)"]
    assert all("2,147,483,647" in problem.message and problem.hint for problem in problems)


def test_a_refusal_of_an_operator_gets_its_node() -> None:
    tensors = [Tensor("a", (1, 4), None, Quantization.per_tensor(1.0, 0))]
    tensors += [Tensor(name, (1, 4), None, Quantization.per_tensor(1e-9, 0)) for name in "bc"]
    nodes = (Node("first", Requantize(), ("a",), "b"), Node("second", Requantize(), ("a",), "c"))
    graph = Graph("net", {tensor.name: tensor for tensor in tensors}, nodes, ("a",), ("b", "c"))
    with pytest.raises(McukitError) as caught:
        lower(graph)
    assert [problem.where for problem in caught.value.problems] == [
        "node 'first' (requantize)",
        "node 'second' (requantize)",
    ]


def test_no_shift_is_too_large_for_the_proof() -> None:
    graph = chain(0)
    huge, tiny = Quantization.per_tensor(1e15, 0), Quantization.per_tensor(1e-6, 0)
    tensors = dict(graph.tensors)
    tensors["m0"] = Tensor("m0", (1, 2, 2, 1), None, huge)
    tensors["m1"] = Tensor("m1", (1, 2, 2, 1), None, tiny)
    with pytest.raises(McukitError, match="conv0"):
        lower(graph.replace(tensors=tensors))

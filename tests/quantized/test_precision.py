# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.operator import Operator
from mcukit.ops.reshape import Reshape
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window
from mcukit.quantized.precision import Precision, check_precision, quantization_groups, widest_choice


def network() -> Graph:
    """Two convolutions side by side, then a convolution, a reshape and a softmax."""
    tensors = {"input": Tensor("input", (1, 2, 2, 3))}
    nodes: list[Node] = []

    def add(name: str, operator: Operator, *inputs: str) -> None:
        tensors[name] = Tensor(name, operator.output_shape([tensors[i] for i in inputs]))
        nodes.append(Node(name, operator, inputs, name))

    def convolution(name: str, source: str, channels: int) -> None:
        weights, bias = f"{name}/weights", f"{name}/bias"
        tensors[weights] = Tensor(weights, (channels, 1, 1, tensors[source].shape[3]), np.ones(channels))
        tensors[bias] = Tensor(bias, (channels,), np.zeros(channels))
        add(name, Conv2d(Window((1, 1))), source, weights, bias)

    convolution("left", "input", 4)
    convolution("right", "input", 6)
    add("both", Concat(), "left", "right")
    convolution("narrow", "both", 2)
    add("flat", Reshape((1, 8)), "narrow")
    add("softmax", Softmax(), "flat")
    return Graph("probe", tensors, tuple(nodes), ("input",), ("softmax",))


def test_maps_that_share_a_scale_are_one_group() -> None:
    groups = quantization_groups(network())

    assert groups["left"] == groups["right"] == groups["both"]
    assert groups["narrow"] == groups["flat"]
    assert len(set(groups.values())) == 4


def test_what_a_group_may_have_follows_from_all_its_maps() -> None:
    graph = network()
    groups, choices = quantization_groups(graph), widest_choice(graph)

    assert choices[groups["both"]] == (8, 4, 2)
    assert choices[groups["narrow"]] == (8, 4), "two channels of 2 bits don't fill a byte"
    assert choices[groups["input"]] == choices[groups["softmax"]] == (8,)


def test_one_map_speaks_for_its_group() -> None:
    bits = check_precision(network(), Precision({"right": 2, "flat": 4}, {"narrow": 4}))

    assert bits == {"input": 8, "left": 2, "right": 2, "both": 2, "narrow": 4, "flat": 4, "softmax": 8}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    maps = {"left": 4, "both": 8, "narrow": 2, "nothing": 4, "softmax": 4, "input": 3}
    weights = {"left": 5, "both": 4, "none": 4}

    with pytest.raises(McukitError) as caught:
        check_precision(network(), Precision(maps, weights))

    assert {problem.code for problem in caught.value.problems} == {"bad-precision"}
    assert [problem.where for problem in caught.value.problems] == [
        "map 'both'",
        "map 'narrow'",
        "map 'nothing'",
        "map 'softmax'",
        "map 'input'",
        "node 'left'",
        "node 'both'",
        "node 'none'",
    ]
    text = str(caught.value)
    assert "'left', with which it shares its scale, has 4" in text
    assert "only 8 or 4" in text
    assert "maps of 3 bits have no kernels" in text
    assert "a concat has no weights" in text

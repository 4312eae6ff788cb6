# SPDX-License-Identifier: Apache-2.0
"""A small network with all that a plan can show, and plans for it."""

from __future__ import annotations

__all__ = ["PLANS", "network", "planned", "renamed", "stages_of"]

from dataclasses import replace

import numpy as np

from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.activation import RELU
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower

SAME = (1, 1, 1, 1)
_MAP = Quantization.per_tensor(1 / 16, 0)


def network() -> IntegerModel:
    """Layer "x_layer" writes map "x". A residual connection spans d; v is a view."""
    steps: list[tuple[str, Operator, tuple[str, ...]]] = [
        ("a", Conv2d(Window((3, 3), pads=SAME)), ("image", "weights_a", "bias")),  # 12x10x4
        ("b", Clip(RELU), ("a",)),  # in place of a
        ("c", MaxPool(Window((3, 3), (2, 2), pads=SAME)), ("b",)),  # 6x5x4
        ("d", Conv2d(Window((3, 3), pads=SAME)), ("c", "weights_d", "bias")),  # 6x5x4
        ("e", Add(), ("c", "d")),
        ("f", AveragePool(Window((6, 5))), ("e",)),  # 1x1x4
        ("v", Reshape((1, 4)), ("f",)),
        ("g", Clip(RELU), ("v",)),
    ]
    tensors = {"image": Tensor("image", (1, 12, 10, 3), None, _MAP)}
    for name, depth in (("weights_a", 3), ("weights_d", 4)):
        values = np.ones((4, 3, 3, depth), np.int8)
        tensors[name] = Tensor(name, values.shape, values, Quantization(np.full(4, 0.01, np.float32), 0, 0))
    bias = Quantization(np.full(4, 0.01 / 16, np.float32), 0, 0, bits=32)
    tensors["bias"] = Tensor("bias", (4,), np.zeros(4, np.int32), bias)
    nodes = []
    for name, operator, inputs in steps:
        tensors[name] = Tensor(name, operator.output_shape([tensors[i] for i in inputs]), None, _MAP)
        nodes.append(Node(f"{name}_layer", operator, inputs, name))
    return lower(Graph("net", tensors, tuple(nodes), ("image",), ("g",)))


def renamed(model: IntegerModel, names: dict[str, str]) -> IntegerModel:
    """The model with other names for its layers and tensors."""
    graph = model.graph

    def new(name: str) -> str:
        return names.get(name, name)

    tensors = {new(name): replace(tensor, name=new(name)) for name, tensor in graph.tensors.items()}
    nodes = tuple(Node(new(n.name), n.operator, tuple(map(new, n.inputs)), new(n.output)) for n in graph.nodes)
    inputs, outputs = (tuple(map(new, tensors)) for tensors in (graph.inputs, graph.outputs))
    return lower(Graph(new(graph.name), tensors, nodes, inputs, outputs))


PLANS: dict[str, tuple[list[tuple[int, int, int, Halo]], bool]] = {
    "layers": ([(7, 1, 1, Halo.RECOMPUTED)], False),
    "stream": ([(7, 1, 1, Halo.KEPT)], False),
    "pushed": ([(5, 1, 1, Halo.KEPT), (2, 1, 1, Halo.RECOMPUTED)], True),
    "patches": ([(5, 2, 2, Halo.RECOMPUTED), (2, 1, 1, Halo.RECOMPUTED)], False),
    "strips": ([(5, 1, 3, Halo.KEPT), (2, 1, 1, Halo.KEPT)], False),
    "mixture": (
        [(3, 3, 1, Halo.RECOMPUTED), (1, 1, 2, Halo.KEPT), (1, 1, 1, Halo.KEPT)] + [(1, 1, 1, Halo.RECOMPUTED)] * 2,
        False,
    ),
}  # fmt: skip
"""By name: how many layers, tile rows, tile columns and halo of each stage, and whether the input is pushed."""


def stages_of(flow: Dataflow, name: str) -> tuple[Stage, ...]:
    """The stages of one of PLANS."""
    stages, first = [], 0
    for length, rows, columns, halo in PLANS[name][0]:
        layers = tuple(layer.name for layer in flow.layers[first : first + length])
        stages.append(Stage(layers, rows, columns, halo))
        first += length
    return tuple(stages)


def planned(model: IntegerModel, name: str) -> Plan:
    """One of PLANS for the network, under whatever names it has."""
    flow = Dataflow(model)
    return plan_of(flow, stages_of(flow, name), pushed=PLANS[name][1])

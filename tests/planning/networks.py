# SPDX-License-Identifier: Apache-2.0
"""Small networks that put operators where plans are hard: in the middle of stages, in branches, beside padding."""

from __future__ import annotations

__all__ = ["NETWORKS", "embedded", "lowered", "network_named"]

import functools
from collections.abc import Callable, Mapping

import numpy as np

from mcukit.graph.graph import Graph, Node, Shape, Tensor, map_shape
from mcukit.graph.validate import validate
from mcukit.ops.activation import RELU
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.hard_swish import HardSwish
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.operator import Operator
from mcukit.ops.pad import Pad
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.sigmoid import Sigmoid
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window
from mcukit.quantized.integer import IntegerModel
from tests.ops.harness import Case, case_graph, quantize_case

SAME = Window((3, 3), pads=(1, 1, 1, 1))
HALVE = Window((3, 3), (2, 2), pads=(1, 1, 1, 1))
POINT = Window((1, 1))


class Network:
    """A float network that grows operator by operator; every method returns the name of the map that it adds."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.values = np.random.default_rng(height * width * channels)
        self.tensors = {"input": Tensor("input", (1, height, width, channels))}
        self.nodes: list[Node] = []

    def add(self, operator: Operator, *inputs: str) -> str:
        name = f"{operator.op_name}{len(self.nodes)}"
        shape = operator.output_shape([self.tensors[i] for i in inputs])
        self.tensors[name] = Tensor(name, shape)
        self.nodes.append(Node(name, operator, inputs, name))
        return name

    def conv(self, source: str, filters: int, window: Window = SAME, groups: int = 1) -> str:
        depth = self.tensors[source].shape[-1] // groups
        weights = self._constant((filters, *window.kernel, depth), window.kernel[0] * window.kernel[1] * depth)
        return self.add(Conv2d(window, groups), source, weights, self._constant((filters,), 1))

    def depthwise(self, source: str, window: Window = SAME) -> str:
        channels = self.tensors[source].shape[-1]
        weights = self._constant((1, *window.kernel, channels), window.kernel[0] * window.kernel[1])
        return self.add(DepthwiseConv2d(window), source, weights, self._constant((channels,), 1))

    def dense(self, source: str, outputs: int) -> str:
        size = self.tensors[source].elements
        weights = self._constant((outputs, size), size)
        return self.add(FullyConnected(), source, weights, self._constant((outputs,), 1))

    def graph(self, *outputs: str) -> Graph:
        graph = Graph("network", self.tensors, tuple(self.nodes), ("input",), outputs)
        validate(graph)
        return graph

    def _constant(self, shape: Shape, fan_in: int) -> str:
        name = f"constant{len(self.tensors)}"
        self.tensors[name] = Tensor(name, shape, (self.values.standard_normal(shape) / fan_in**0.5).astype(np.float32))
        return name


def embedded(case: Case) -> Graph:
    """A case's operator between two others with windows, so that it reads and writes parts of maps."""
    graph = case_graph(case)
    tensors, nodes = dict(graph.tensors), list(graph.nodes)

    def add(name: str, operator: Operator, source: str) -> Node:
        tensors[name] = Tensor(name, operator.output_shape([tensors[source]]))
        return Node(name, operator, (source,), name)

    if len(case.maps) == 1:
        window = MaxPool(Window((2, 2), pads=(1, 0, 0, 1)))
        before = add("before", window if len(case.maps[0]) == 4 else Clip(RELU), "input")
        readers = [
            Node(n.name, n.operator, tuple("before" if i == "input" else i for i in n.inputs), n.output) for n in nodes
        ]
        nodes = [before, *readers]
    last = nodes[-1].output
    height, width, channels = map_shape(tensors[last].shape)
    if len(tensors[last].shape) != 4:
        nodes.append(add("shaped", Reshape((1, height, width, channels)), last))
        last = "shaped"
    nodes.append(add("after", ResizeNearest((3, 4)) if height == width == 1 else MaxPool(SAME), last))
    embedded = Graph("probe", tensors, tuple(nodes), ("input",), ("after",))
    validate(embedded)
    return embedded


def lowered(graph: Graph, seed: int = 0) -> tuple[IntegerModel, np.ndarray]:
    """The integer model and two inputs for it."""
    case = Case(graph.nodes[-1].operator, (), seed=seed)
    model, inputs = quantize_case(case, graph)
    return model, inputs[:2]


def _residual() -> Graph:
    net = Network(11, 9, 3)
    first = net.conv("input", 4)
    second = net.conv(net.depthwise(net.conv(first, 6, POINT)), 4, POINT)
    block = net.add(Add(RELU), second, first)
    halved = net.conv(net.depthwise(block, HALVE), 5, POINT)
    shortcut = net.conv(block, 5, Window((1, 1), (2, 2)))
    return net.graph(net.conv(net.add(Add(), halved, shortcut), 3))


def _residual_of_the_input() -> Graph:
    net = Network(7, 8, 2)
    inner = net.conv(net.conv("input", 3, Window((5, 5), pads=(2, 2, 2, 2))), 2)
    return net.graph(net.depthwise(net.add(Sub(), "input", inner)))


def _branches() -> Graph:
    net = Network(9, 10, 3)
    stem = net.conv("input", 4)
    wide = net.conv(net.conv(stem, 2, POINT), 3, Window((5, 5), pads=(2, 2, 2, 2)))
    pooled = net.conv(net.add(MaxPool(SAME), stem), 2, POINT)
    together = net.add(Concat(), net.conv(stem, 1, POINT), net.conv(stem, 3), wide, pooled)
    return net.graph(net.conv(net.add(Concat(), together, stem), 4, HALVE))


def _squeeze_and_excite() -> Graph:
    net = Network(8, 7, 3)
    stem = net.add(HardSwish(), net.conv("input", 5))
    factors = net.add(Sigmoid(), net.conv(net.conv(net.add(Mean(), stem), 2, POINT), 5, POINT))
    excited = net.depthwise(net.add(Mul(), stem, factors), HALVE)
    whole = net.add(AveragePool(Window((4, 4))), excited)
    return net.graph(net.conv(net.add(Mul(), net.add(Sigmoid(), whole), excited), 3))


def _broadcast_in_a_stage() -> Graph:
    net = Network(6, 7, 3)
    stem = net.depthwise("input")
    rows = net.add(AveragePool(Window((1, 7))), stem)
    columns = net.add(AveragePool(Window((6, 1))), stem)
    return net.graph(net.conv(net.add(Add(), net.add(Mul(), stem, rows), columns), 4))


def _classifier() -> Graph:
    net = Network(10, 10, 1)
    features = net.conv(net.depthwise(net.conv("input", 4, HALVE)), 6, POINT)
    pooled = net.add(AveragePool(Window((5, 5))), features)
    return net.graph(net.add(Softmax(), net.dense(net.add(Reshape((1, 6)), pooled), 3)))


def _reshape_in_the_middle() -> Graph:
    net = Network(6, 10, 2)
    turned = net.add(Reshape((1, 10, 6, 3)), net.conv("input", 3))
    return net.graph(net.conv(net.add(MaxPool(Window((2, 2))), net.conv(turned, 4)), 2))


def _several_outputs() -> Graph:
    net = Network(9, 7, 2)
    first = net.conv("input", 3)
    second = net.depthwise(first, HALVE)
    third = net.conv(second, 4)
    return net.graph(net.add(Clip(RELU), third), first, net.add(ResizeNearest((10, 9)), second))


def _narrow_beside_wide() -> Graph:
    """Outputs of one pixel, a mean and a dense layer, beside a map that is cut into columns: tiles without columns."""
    net = Network(8, 7, 3)
    first = net.conv("input", 4)
    mean = net.conv(net.add(Mean(), first), 5)
    dense = net.conv(net.add(Reshape((1, 1, 1, 6)), net.dense(first, 6)), 7)
    return net.graph(mean, dense, net.conv(net.conv(first, 3), 2))


def _nobody_reads() -> Graph:
    """Layers that no output depends on, and an output that others read."""
    net = Network(8, 9, 2)
    first = net.conv("input", 3)
    net.add(AveragePool(Window((8, 9))), net.depthwise(first))
    return net.graph(first, net.conv(first, 2, HALVE))


def _windows() -> Graph:
    net = Network(13, 12, 2)
    dilated = net.conv("input", 3, Window((3, 2), dilation=(2, 3), pads=(2, 1, 2, 2)))
    large = net.depthwise(dilated, Window((7, 5), pads=(3, 2, 3, 2)))
    sparse = net.conv(large, 4, Window((2, 1), (3, 2), pads=(1, 0, 2, 0)))
    return net.graph(net.conv(sparse, 3, Window((2, 4), pads=(1, 3, 0, 0))))


def _padding() -> Graph:
    """Tiles that see nothing but padding, in rows and in columns, on every level."""
    net = Network(4, 3, 2)
    padded = net.add(Pad((4, 3, 2, 5)), net.conv("input", 3))
    sparse = net.conv(padded, 4, Window((1, 2), (2, 2)))
    return net.graph(net.add(Pad((2, 2, 3, 1), (1, 0)), net.conv(sparse, 2, Window((2, 2), pads=(3, 3, 3, 3)))))


def _resizing() -> Graph:
    net = Network(5, 6, 3)
    larger = net.add(ResizeNearest((11, 9)), net.conv("input", 4))
    smaller = net.add(ResizeNearest((4, 7), half_pixel_centers=True), net.depthwise(larger))
    return net.graph(net.conv(net.add(ResizeNearest((6, 8)), smaller), 2))


def _column() -> Graph:
    """One column, as sensors give it."""
    net = Network(17, 1, 3)
    first = net.conv("input", 4, Window((5, 1), (2, 1), pads=(2, 0, 2, 0)))
    return net.graph(net.conv(net.depthwise(first, Window((3, 1), pads=(1, 0, 1, 0))), 2, POINT))


def _row() -> Graph:
    net = Network(1, 17, 3)
    first = net.conv("input", 4, Window((1, 5), (1, 2), pads=(0, 2, 0, 2)))
    return net.graph(net.conv(net.depthwise(first, Window((1, 3), pads=(0, 1, 0, 1))), 2, POINT))


NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "residual": _residual,
    "residual of the input": _residual_of_the_input,
    "branches": _branches,
    "squeeze and excite": _squeeze_and_excite,
    "broadcast": _broadcast_in_a_stage,
    "classifier": _classifier,
    "reshape in the middle": _reshape_in_the_middle,
    "several outputs": _several_outputs,
    "narrow beside wide": _narrow_beside_wide,
    "nobody reads": _nobody_reads,
    "windows": _windows,
    "padding": _padding,
    "resizing": _resizing,
    "column": _column,
    "row": _row,
}


@functools.cache
def network_named(name: str) -> tuple[IntegerModel, np.ndarray]:
    """One of NETWORKS, lowered, and two inputs."""
    return lowered(NETWORKS[name]())

# SPDX-License-Identifier: Apache-2.0
"""Small quantized networks, put together by hand, for the tests of patched .tflite files."""

from __future__ import annotations

__all__ = ["Net"]

import numpy as np

from mcukit.graph.graph import Graph, Node, Quantization, Shape, Tensor
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.operator import Operator
from mcukit.ops.window import Window
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower

_SCALE = 1 / 32


class Net:
    """Each method adds an operator on maps given by name and returns the name of its output."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        self.values = np.random.default_rng(seed)
        self.quantization = Quantization.per_tensor(_SCALE, int(self.values.integers(-40, 40)))
        self.tensors = {"input": Tensor("input", shape, None, self.quantization)}
        self.nodes: list[Node] = []

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def add(self, operator: Operator, *inputs: str, name: str = "") -> str:
        name = name or f"{operator.op_name}{len(self.nodes)}"
        tensors = [self.tensors[each] for each in inputs]
        quantization = operator.fixed_output(tensors) or self.quantization
        self.tensors[name] = Tensor(name, operator.output_shape(tensors), None, quantization)
        self.nodes.append(Node(name, operator, inputs, name))
        return name

    def conv(
        self, source: str, channels: int, window: Window, *, groups: int = 1, clamp: Clamp = UNBOUNDED, name: str = ""
    ) -> str:
        weights = (channels, *window.kernel, self.shape(source)[3] // groups)
        return self.add(Conv2d(window, groups, clamp), source, *self.filter(weights, 0), name=name)

    def depthwise(self, source: str, window: Window, *, name: str = "") -> str:
        weights = (1, *window.kernel, self.shape(source)[3])
        return self.add(DepthwiseConv2d(window), source, *self.filter(weights, 3), name=name)

    def constant(self, *shape: int) -> str:
        name = f"operand{len(self.tensors)}"
        data = self.values.integers(-100, 100, shape).astype(np.int8)
        self.tensors[name] = Tensor(name, shape, data, Quantization.per_tensor(_SCALE, 3))
        return name

    def model(self, *outputs: str) -> IntegerModel:
        return lower(Graph("patched", self.tensors, tuple(self.nodes), ("input",), outputs or (self.nodes[-1].output,)))

    def inputs(self, count: int = 2) -> np.ndarray:
        return self.values.integers(-128, 128, (count, *self.shape("input")[1:])).astype(np.int8)

    def filter(self, shape: Shape, axis: int) -> tuple[str, str]:
        """Names of weights and bias that keep values about as large as they are."""
        channels, taps = shape[axis], int(np.prod(shape)) // shape[axis]
        scale = (self.values.uniform(0.6, 1.4, channels) / (73 * np.sqrt(taps))).astype(np.float32)
        weights = self.values.integers(-127, 128, shape).astype(np.int8)
        bias = self.values.integers(-1000, 1000, channels).astype(np.int32)
        number = len(self.tensors)
        constants = (
            Tensor(f"weights{number}", shape, weights, Quantization(scale, 0, axis)),
            Tensor(f"bias{number}", (channels,), bias, Quantization(scale * np.float32(_SCALE), 0, 0, bits=32)),
        )
        self.tensors |= {tensor.name: tensor for tensor in constants}
        return constants[0].name, constants[1].name

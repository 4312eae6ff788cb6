# SPDX-License-Identifier: Apache-2.0
"""The weights of any layer as matrices, and what of the layer's input each column multiplies."""

from __future__ import annotations

__all__ = ["FilterMatrix", "input_channels", "output_channels"]

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Node, Shape, map_shape
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.window import Window

Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FilterMatrix:
    """A layer's output channels in groups that see the same part of the input.

    groups: how many; a depthwise layer has one per input channel. outputs: output channels of a group.
    inputs: how many values each output channel multiplies. shape: of the weights as the graph has them.
    output_map: (height, width) of the output. window: None for a fully connected layer.
    """

    groups: int
    outputs: int
    inputs: int
    shape: Shape
    output_map: tuple[int, int]
    window: Window | None

    @classmethod
    def of(cls, graph: Graph, node: Node) -> FilterMatrix | None:
        """None for an operator without weights."""
        operator, shape = node.operator, graph.tensors[node.inputs[1]].shape if len(node.inputs) > 1 else ()
        height, width, _ = map_shape(graph.tensors[node.output].shape)
        if isinstance(operator, FullyConnected):
            return cls(1, shape[0], shape[1], shape, (1, 1), None)
        if isinstance(operator, DepthwiseConv2d):
            channels = graph.tensors[node.inputs[0]].shape[3]
            taps = shape[1] * shape[2]
            return cls(channels, shape[3] // channels, taps, shape, (height, width), operator.window)
        if isinstance(operator, Conv2d):
            depth = shape[1] * shape[2] * shape[3]
            outputs = shape[0] // operator.groups
            return cls(operator.groups, outputs, depth, shape, (height, width), operator.window)
        return None

    @property
    def is_depthwise(self) -> bool:
        return self.window is not None and self.shape[0] == 1 and self.shape[3] == self.groups * self.outputs

    def matrices(self, weights: npt.NDArray[np.generic]) -> Float64Array:
        """(groups, inputs, outputs) of weights as the graph has them."""
        values = np.asarray(weights, np.float64)
        if self.is_depthwise:
            return np.ascontiguousarray(values.reshape(self.inputs, self.groups, self.outputs).transpose(1, 0, 2))
        return np.ascontiguousarray(values.reshape(self.groups, self.outputs, self.inputs).transpose(0, 2, 1))

    def weights(self, matrices: Float64Array) -> Float64Array:
        """The inverse of `matrices`."""
        if self.is_depthwise:
            return matrices.transpose(1, 0, 2).reshape(self.shape)
        return matrices.transpose(0, 2, 1).reshape(self.shape)

    def seen(self, maps: FloatArray, pixels: npt.NDArray[np.int64]) -> FloatArray:
        """(groups, samples, inputs): what these output pixels of a batch see.

        maps: the layer's input as onnxruntime has it, (N, channels, height, width) or (N, elements).
        pixels: places in the flattened output map.
        """
        if self.window is None:
            # The graph's weights know elements channels last.
            ordered = maps.transpose(0, 2, 3, 1) if maps.ndim == 4 else maps
            return ordered.reshape(1, len(maps), -1)
        rows, columns = np.divmod(pixels, self.output_map[1])
        taps = np.stack([index.ravel() for index in np.indices(self.window.kernel)])
        source_rows = rows[:, None] * self.window.stride[0] - self.window.pads[0] + taps[0] * self.window.dilation[0]
        source_columns = (
            columns[:, None] * self.window.stride[1] - self.window.pads[1] + taps[1] * self.window.dilation[1]
        )
        height, width = maps.shape[2:]
        inside = (source_rows >= 0) & (source_rows < height) & (source_columns >= 0) & (source_columns < width)
        values = maps[:, :, np.clip(source_rows, 0, height - 1), np.clip(source_columns, 0, width - 1)]
        values = np.where(inside, values, np.float32(0.0))  # (N, channels, pixels, taps)
        batch, channels = values.shape[:2]
        depth = channels // self.groups
        split = values.reshape(batch, self.groups, depth, *values.shape[2:])
        # Taps go before channels, as in the weights.
        return np.ascontiguousarray(split.transpose(1, 0, 3, 4, 2)).reshape(self.groups, -1, self.inputs)


def output_channels(node: Node, shape: Shape) -> Indices:
    """Which output channel of a layer each weight belongs to, in a shape that broadcasts to that of the weights."""
    axis = 3 if isinstance(node.operator, DepthwiseConv2d) else 0
    return np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])


def input_channels(node: Node, shape: Shape, channels: int) -> Indices:
    """Which input channel of a layer each weight multiplies, in a shape that broadcasts to that of the weights."""
    if isinstance(node.operator, DepthwiseConv2d):
        return np.repeat(np.arange(channels), shape[3] // channels).reshape(1, 1, 1, -1)
    if isinstance(node.operator, Conv2d):
        groups = node.operator.groups
        return np.repeat(np.arange(channels).reshape(groups, -1), shape[0] // groups, axis=0).reshape(
            -1, 1, 1, shape[3]
        )
    return np.tile(np.arange(channels), shape[1] // channels).reshape(1, -1)

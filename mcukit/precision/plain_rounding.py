# SPDX-License-Identifier: Apache-2.0
"""Weights rounded one by one, at the scale with the least squared error for each output channel."""

from __future__ import annotations

__all__ = ["WeightRounding", "plain_rounding", "rounding_of"]

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d

Float64Array = npt.NDArray[np.float64]

WeightRounding = Callable[[Node, int], tuple[Tensor, Tensor]]
"""From a node with weights and their bits: integer weights with their quantization, and the bias that goes with them,
quantized or in float.
"""

_SHRINKAGES = np.linspace(1.0, 0.3, 36)
"""Scales that are tried, relative to the one at which no weight is clipped."""


def plain_rounding(graph: Graph) -> WeightRounding:
    """For the nodes of a float graph; biases stay as they are."""

    def rounded(node: Node, bits: int) -> tuple[Tensor, Tensor]:
        weights, bias = graph.node_inputs(node)[1:3]
        axis = 3 if isinstance(node.operator, DepthwiseConv2d) else 0
        values = np.moveaxis(np.asarray(weights.data, np.float64), axis, 0)
        integers, scale = _round(values.reshape(values.shape[0], -1), bits)
        data = np.ascontiguousarray(np.moveaxis(integers.reshape(values.shape), 0, axis))
        quantization = Quantization(scale.astype(np.float32), 0, axis, bits)
        return Tensor(weights.name, weights.shape, data.astype(np.int8), quantization), bias

    return rounded


def rounding_of(quantized: Mapping[int, Graph]) -> WeightRounding:
    """What other graphs have: `quantized` holds, for every number of bits, one whose weights all have so many."""
    nodes = {bits: {node.name: node for node in graph.nodes} for bits, graph in quantized.items()}

    def rounded(node: Node, bits: int) -> tuple[Tensor, Tensor]:
        weights, bias = quantized[bits].node_inputs(nodes[bits][node.name])[1:3]
        return weights, bias

    return rounded


def _round(channels: Float64Array, bits: int) -> tuple[Float64Array, Float64Array]:
    """Integers (channels, weights) and the scale of each channel."""
    limit = (1 << (bits - 1)) - 1
    largest = np.abs(channels).max(axis=1, initial=0.0) / limit
    widest = np.where(largest > np.finfo(np.float32).tiny, largest, 1.0)
    best, scale, error = np.zeros_like(channels), widest, np.full(len(channels), np.inf)
    for shrinkage in _SHRINKAGES:
        # Scales are stored as float32, and integers have to be those of the stored one.
        tried = (widest * shrinkage).astype(np.float32).astype(np.float64)[:, np.newaxis]
        integers = np.clip(np.rint(channels / tried), -limit, limit)
        found = np.square(integers * tried - channels).sum(axis=1)
        better = found < error
        best[better], error = integers[better], np.where(better, found, error)
        scale = np.where(better, tried[:, 0], scale)
    return best, scale

# SPDX-License-Identifier: Apache-2.0
"""Weights of neighbouring layers brought to like size, channel by channel; the network computes what it did before.

After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019). Where a layer's
output channel is divided by a positive factor, the weights by which the next layer multiplies it can take the factor
back, provided that nothing but a ReLU, which commutes with positive factors, lies between the two.
"""

from __future__ import annotations

__all__ = ["channel_magnitudes", "equalizable_pairs", "equalize"]

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.graph.graph import Graph, Node
from mcukit.ops.activation import RELU, UNBOUNDED, Clamp
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.repair.filter_matrix import input_channels, output_channels

Float64Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SWEEPS = 10
"""A layer in the middle belongs to two pairs, which take turns."""

LARGEST_FACTOR = 1e4

BATCH = 8


def equalizable_pairs(graph: Graph) -> tuple[tuple[Node, Node], ...]:
    """Layers that follow each other, where the second is the only reader of the first.

    The first has no clamp or that of a ReLU, and weights that no other node has.
    """
    consumers = graph.consumers()
    pairs = []
    for first in graph.nodes:
        readers = consumers[first.output]
        if first.output in graph.outputs or len(readers) != 1 or _clamp(first) not in (UNBOUNDED, RELU):
            continue
        second = readers[0]
        constants = (*first.inputs[1:], *second.inputs[1:])
        if _is_layer(second) and all(len(consumers[name]) == 1 for name in constants):
            pairs.append((first, second))
    return tuple(pairs)


def channel_magnitudes(model: FloatModel, inputs: npt.NDArray[np.float32]) -> dict[str, Float64Array]:
    """The largest magnitude that N inputs (N, height, width, channels) cause in each channel of every map."""
    found: dict[str, Float64Array] = {}
    for start in range(0, len(inputs), BATCH):
        for name, values in model.run(inputs[start : start + BATCH]).items():
            # Channels are the second dimension, whatever the rank.
            channels = np.abs(values).max(axis=(0, *range(2, values.ndim))).astype(np.float64)
            found[name] = np.maximum(found[name], channels) if name in found else channels
    return found


def equalize(graph: Graph, magnitudes: Mapping[str, Float64Array]) -> Graph:
    """The float `graph` with other weights in all equalizable pairs, and the same outputs but for float rounding.

    magnitudes: of the channels of its maps. No channel is made larger than the largest of its map: all of a map's
    channels share one scale, and a channel of tiny weights beside a bias would claim it for itself.
    """
    magnitudes = dict(magnitudes)
    pairs = equalizable_pairs(graph)
    constants = {
        name: np.asarray(graph.tensors[name].data, np.float64)
        for pair in pairs
        for node in pair
        for name in node.inputs[1:]
    }
    for _ in range(SWEEPS):
        for first, second in pairs:
            channels = graph.tensors[first.output].shape[-1]
            weights, bias, following = first.inputs[1], first.inputs[2], second.inputs[1]
            outgoing = output_channels(first, constants[weights].shape)
            incoming = input_channels(second, constants[following].shape, channels)
            sizes = magnitudes[first.output]
            factors = _factors(
                _largest(constants[weights], outgoing, channels),
                _largest(constants[following], incoming, channels),
                sizes,
            )
            magnitudes[first.output] = sizes / factors
            constants[weights] = constants[weights] / factors[outgoing]
            constants[bias] = constants[bias] / factors
            constants[following] = constants[following] * factors[incoming]
    changed = {name: replace(graph.tensors[name], data=values.astype(np.float32)) for name, values in constants.items()}
    return graph.replace(tensors={**graph.tensors, **changed})


def _is_layer(node: Node) -> bool:
    return isinstance(node.operator, Conv2d | DepthwiseConv2d | FullyConnected)


def _clamp(node: Node) -> Clamp | None:
    """Of a layer with weights."""
    operator = node.operator
    return operator.clamp if isinstance(operator, Conv2d | DepthwiseConv2d | FullyConnected) else None


def _largest(weights: Float64Array, channel: Indices, channels: int) -> Float64Array:
    """The largest magnitude of the weights of each channel."""
    found = np.zeros(channels)
    np.maximum.at(found, np.broadcast_to(channel, weights.shape), np.abs(weights))
    return found


def _factors(outgoing: Float64Array, incoming: Float64Array, sizes: Float64Array) -> Float64Array:
    """By which each channel is divided, so that the largest weights on both its sides are equal, if its map allows."""
    possible = (outgoing > 0.0) & (incoming > 0.0) & (sizes > 0.0)
    ratio = np.where(possible, outgoing, 1.0) / np.where(possible, incoming, 1.0)
    smallest = np.where(possible, sizes / max(float(sizes.max()), float(np.finfo(np.float32).tiny)), 1.0)
    factors: Float64Array = np.clip(np.sqrt(ratio), smallest, LARGEST_FACTOR)
    return factors

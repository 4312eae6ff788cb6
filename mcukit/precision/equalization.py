# SPDX-License-Identifier: Apache-2.0
"""Channels of a map brought to similar ranges, because all of them share one scale.

A channel whose values are small beside its neighbours' is left with few of the 256 steps. Weights and bias of the layer
that computes it can be multiplied by a factor, and the weights that read it divided by the same factor: the network
computes the same, and the channel's values use more of the map's range. (Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction", 2019, with factors from calibrated maps instead of weights.)
"""

from __future__ import annotations

__all__ = ["equalize_channels"]

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.statistics import ChannelExtremes
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d

Float64Array = npt.NDArray[np.float64]

HEADROOM = 0.5
"""The factor is the channel's unused share of the range to this power: 1 leaves no room for values that calibration
didn't see, and gives a rarely active channel's weights all the rounding noise that its map is spared."""

LARGEST_FACTOR = 16.0
"""For channels that calibration hardly ever saw active."""


def equalize_channels(graph: Graph, extremes: Mapping[str, ChannelExtremes]) -> Graph:
    """The same float network with more even channels in the maps between convolutions.

    extremes: of every channel of every map of `graph` on calibration data. A map is left alone if anything but a
    convolution reads it, or if its clamp has another lower limit than 0. An upper limit (ReLU6) is never reached
    earlier on calibration data than before, though unseen values of a small channel may be.
    """
    consumers = graph.consumers()
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        readers = consumers[node.output]
        if node.output in graph.outputs or not _can_be_scaled(node) or not readers:
            continue
        constants = {name for item in (node, *readers) for name in item.inputs[1:]}
        if any(len(consumers[name]) > 1 for name in constants) or not all(map(_can_compensate, readers)):
            continue
        factors = _factors(extremes[node.output])
        for name in node.inputs[1:]:
            tensors[name] = _scaled(tensors[name], factors, _output_axis(node, tensors[name]))
        for reader in readers:
            name = reader.inputs[1]
            tensors[name] = _scaled(tensors[name], _seen_by(reader, tensors[name], 1.0 / factors), 3)
    return graph.replace(tensors=tensors)


def _can_be_scaled(node: Node) -> bool:
    """Whether a positive factor may move from behind the layer's clamp into its weights."""
    clamp = getattr(node.operator, "clamp", UNBOUNDED)
    return isinstance(node.operator, Conv2d | DepthwiseConv2d) and isinstance(clamp, Clamp) and (
        clamp.minimum == 0.0 or (clamp.minimum == -math.inf and clamp.maximum == math.inf)
    )


def _can_compensate(node: Node) -> bool:
    if isinstance(node.operator, Conv2d):
        return node.operator.groups == 1
    return isinstance(node.operator, DepthwiseConv2d)


def _factors(extremes: ChannelExtremes) -> Float64Array:
    """At least 1; what is larger keeps every channel inside the range of the whole map."""
    unused = np.full(extremes.maximum.shape, np.inf)
    for side in (extremes.maximum.astype(np.float64), -extremes.minimum.astype(np.float64)):
        reached = side > 0.0
        unused[reached] = np.minimum(unused[reached], side.max() / side[reached])
    # A channel that is always zero has nothing to gain.
    unused[np.isinf(unused)] = 1.0
    return np.minimum(unused**HEADROOM, LARGEST_FACTOR)


def _output_axis(node: Node, constant: Tensor) -> int:
    """Axis of weights or bias that counts output channels."""
    return 3 if len(constant.shape) == 4 and isinstance(node.operator, DepthwiseConv2d) else 0


def _seen_by(reader: Node, weights: Tensor, factors: Float64Array) -> Float64Array:
    """One factor per entry of the weights' last axis: input channels of a Conv2d, output channels of a depthwise one."""
    return np.repeat(factors, weights.shape[3] // len(factors))


def _scaled(constant: Tensor, factors: Float64Array, axis: int) -> Tensor:
    along = factors.reshape([-1 if i == axis else 1 for i in range(len(constant.shape))])
    return replace(constant, data=(np.asarray(constant.data, np.float64) * along).astype(np.float32))

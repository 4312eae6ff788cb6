# SPDX-License-Identifier: Apache-2.0
"""Folds constant factors and offsets, as batch normalization leaves them, into the layer in front of them."""

from __future__ import annotations

__all__ = ["fold_scale_shift"]

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.activation import UNBOUNDED
from mcukit.ops.add import Add
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.mul import Mul
from mcukit.ops.sub import Sub

Float64Array = npt.NDArray[np.float64]

_CHANNEL_AXIS = {Conv2d: 0, DepthwiseConv2d: 3, FullyConnected: 0}
"""Axis of the weights that counts output channels."""


def fold_scale_shift(graph: Graph) -> Graph:
    """Requires a float graph; nothing is done where tensors are quantized.

    Ensures that no Mul, Add or Sub with a constant per channel (or one for all) follows a Conv2d, DepthwiseConv2d or
    FullyConnected without clamp and other readers. The merged node has the name of the layer and the output of the
    folded operator. Products and sums are taken in float64; what would overflow float32 stays unfolded.
    """
    consumers = graph.consumers()
    nodes = {node.output: node for node in graph.nodes}
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        linear = _scale_and_shift(graph, node)
        if linear is None:
            continue
        source, scale, shift = linear
        layer = nodes.get(source)
        if layer is None or len(consumers[source]) > 1 or source in graph.outputs:
            continue
        if not _can_absorb(tensors, layer):
            continue
        constants = _folded(tensors, layer, scale, shift)
        if constants is None:
            continue
        tensors.update({constant.name: constant for constant in constants})
        del nodes[source]
        clamp: dict[str, object] = {"clamp": getattr(node.operator, "clamp", UNBOUNDED)}
        operator = replace(layer.operator, **clamp)
        inputs = (layer.inputs[0], *(constant.name for constant in constants))
        nodes[node.output] = Node(layer.name, operator, inputs, node.output)
    return graph.replace(nodes=tuple(nodes.values()), tensors=tensors)


def _scale_and_shift(graph: Graph, node: Node) -> tuple[str, Float64Array, Float64Array] | None:
    """(map, scale, shift) if the node computes map * scale + shift, one or `channels` values each."""
    operator = node.operator
    if not isinstance(operator, Mul | Add | Sub):
        return None
    operands = graph.node_inputs(node)
    constant = next((tensor for tensor in operands if tensor.data is not None), None)
    source = next((tensor for tensor in operands if tensor.data is None), None)
    if constant is None or constant.data is None or source is None or constant.quantization is not None:
        return None
    if constant.elements != 1 and constant.shape[-1] != constant.elements:
        return None
    output = graph.tensors[node.output]
    if source.shape != output.shape or source.quantization is not None or output.quantization is not None:
        return None
    values = constant.data.astype(np.float64).reshape(-1)
    one, zero = np.ones(1), np.zeros(1)
    if isinstance(operator, Mul):
        return source.name, values, zero
    if isinstance(operator, Add):
        return source.name, one, values
    return (source.name, one, -values) if operands[1] is constant else (source.name, -one, values)


def _can_absorb(tensors: Mapping[str, Tensor], layer: Node) -> bool:
    operator = layer.operator
    if not isinstance(operator, Conv2d | DepthwiseConv2d | FullyConnected) or not operator.clamp.is_unbounded:
        return False
    constants = [tensors[name] for name in layer.inputs[1:]]
    return all(tensor.data is not None and tensor.quantization is None for tensor in constants)


def _folded(
    tensors: Mapping[str, Tensor], layer: Node, scale: Float64Array, shift: Float64Array
) -> tuple[Tensor, Tensor] | None:
    """Weights and bias of layer(x) * scale + shift, under new names; None if they overflow."""
    weights, bias = (tensors[name] for name in layer.inputs[1:])
    axis = _CHANNEL_AXIS[type(layer.operator)]
    along = [-1 if i == axis else 1 for i in range(len(weights.shape))]
    with np.errstate(over="ignore"):
        folded_weights = (np.asarray(weights.data, np.float64) * scale.reshape(along)).astype(np.float32)
        folded_bias = (np.asarray(bias.data, np.float64) * scale + shift).astype(np.float32)
    if not (np.isfinite(folded_weights).all() and np.isfinite(folded_bias).all()):
        return None
    names = (_new_name(weights.name, tensors), _new_name(bias.name, tensors))
    return Tensor(names[0], weights.shape, folded_weights), Tensor(names[1], bias.shape, folded_bias)


def _new_name(name: str, tensors: Mapping[str, Tensor]) -> str:
    """A name for the folded form of a constant, which other layers may read unfolded."""
    base = name.removesuffix("/folded")
    candidate, number = f"{base}/folded", 1
    while candidate in tensors:
        number += 1
        candidate = f"{base}/folded{number}"
    return candidate

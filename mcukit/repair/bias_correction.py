# SPDX-License-Identifier: Apache-2.0
"""Biases that make up for rounded weights.

A rounded weight is off by a fraction of its step, the same for every image. Over a whole filter these errors don't
cancel: where the input is positive, as behind a ReLU, they shift the mean of an output channel. That shift is linear
in the input, so that the average input map tells it exactly, and the bias can take it back at no cost.
"""

from __future__ import annotations

__all__ = ["correct_biases", "correct_outputs"]

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Tensor
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.filters import BIAS_LIMIT, tap
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.operator import Operator
from mcukit.ops.window import Window

Float64Array = npt.NDArray[np.float64]


def correct_biases(graph: Graph, quantized: Graph, means: Mapping[str, npt.NDArray[np.float32]]) -> Graph:
    """`quantized` with int32 biases under which no output channel's mean is shifted by the rounding of weights.

    quantized: what quantize_graph made of `graph`. means: the average of every map of the float `graph` over the
    calibration images, (height, width, channels) or (elements,). Weights, scales and zero points stay as they are.
    Averages of float maps are meant: with those of quantized maps one layer's error would be repaired in several.
    """
    originals = {node.name: node for node in graph.nodes}
    tensors = dict(quantized.tensors)
    for node in quantized.nodes:
        if not isinstance(node.operator, Conv2d | DepthwiseConv2d | FullyConnected) or node.name not in originals:
            continue
        original = originals[node.name]
        source, weights, bias = graph.node_inputs(original)
        error = _rounding_error(weights, tensors[node.inputs[1]])
        shift = _mean_response(node.operator, error, means[source.name], graph.tensors[original.output])
        tensors[node.inputs[2]] = _shifted(tensors[node.inputs[2]], bias, -shift)
    return quantized.replace(tensors=tensors)


def correct_outputs(quantized: Graph, shift: Mapping[str, npt.NDArray[np.float64]]) -> Graph:
    """`quantized` with biases that take back what is left of a mean shift of the outputs' channels.

    shift: measured mean error per channel, in real units, of maps by name. Rounded and clipped maps shift outputs too;
    only at the last layer can that be repaired without repairing one error twice. Maps that no layer with weights
    computes, and those of a layer with a clamp, stay as they are.
    """
    tensors = dict(quantized.tensors)
    for node in quantized.nodes:
        if node.output not in shift or not isinstance(node.operator, Conv2d | DepthwiseConv2d | FullyConnected):
            continue
        bias = tensors[node.inputs[2]]
        if bias.quantization is None:
            raise ValueError(f"'{bias.name}' is not quantized")
        if node.operator.clamp.is_unbounded:
            real = bias.quantization.scale.astype(np.float64) * np.asarray(bias.data, np.float64)
            tensors[bias.name] = _shifted(bias, replace(bias, data=real), -shift[node.output])
    return quantized.replace(tensors=tensors)


def _rounding_error(weights: Tensor, rounded: Tensor) -> Float64Array:
    """What the integers stand for minus the weights as trained."""
    if rounded.quantization is None:
        raise ValueError(f"'{rounded.name}' is not quantized")
    meant = rounded.quantization.dequantize(np.asarray(rounded.data, np.int8)).astype(np.float64)
    return meant - np.asarray(weights.data, np.float64)


def _shifted(quantized: Tensor, original: Tensor, shift: Float64Array) -> Tensor:
    """The int32 bias of `original` + shift, within the limit that quantize_filter keeps."""
    if quantized.quantization is None:
        raise ValueError(f"'{quantized.name}' is not quantized")
    biases = np.asarray(original.data, np.float64) + shift
    integers = np.rint(biases / quantized.quantization.scale.astype(np.float64))
    return replace(quantized, data=np.clip(integers, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32))


def _mean_response(
    operator: Operator, weights: Float64Array, mean: npt.NDArray[np.float32], output: Tensor
) -> Float64Array:
    """The mean of each output channel over all pixels, for an input that averages to `mean`; without bias and clamp."""
    if isinstance(operator, DepthwiseConv2d):
        seen = _mean_per_tap(operator.window, mean, output)
        multiplier = weights.shape[3] // seen.shape[2]
        response: Float64Array = (weights[0] * np.repeat(seen, multiplier, axis=2)).sum(axis=(0, 1))
        return response
    if isinstance(operator, Conv2d):
        seen = _mean_per_tap(operator.window, mean, output)
        filters = weights.reshape(operator.groups, -1, *weights.shape[1:])
        slices = seen.reshape(*seen.shape[:2], operator.groups, -1)
        products: Float64Array = np.einsum("gorci,rcgi->go", filters, slices)
        return products.reshape(-1)
    product: Float64Array = weights @ mean.reshape(-1).astype(np.float64)
    return product


def _mean_per_tap(window: Window, mean: npt.NDArray[np.float32], output: Tensor) -> Float64Array:
    """(kernel rows, kernel columns, channels): what each tap sees on average over all output pixels, pads included."""
    top, left, bottom, right = window.pads
    padded = np.pad(mean.astype(np.float64), ((top, bottom), (left, right), (0, 0)))[np.newaxis]
    _, height, width, channels = output.shape
    seen = np.empty((*window.kernel, mean.shape[2]))
    for row, column in np.ndindex(*window.kernel):
        seen[row, column] = tap(padded, window, (height, width, channels), row, column).mean(axis=(0, 1, 2))
    return seen

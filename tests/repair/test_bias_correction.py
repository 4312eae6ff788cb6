# SPDX-License-Identifier: Apache-2.0
"""Biases after correction: the mean of every output channel is what it is in float."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import choose_range
from mcukit.calibration.statistics import collect_statistics
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.operator import Operator
from mcukit.ops.window import Window
from mcukit.quantized.quantize import quantize_graph
from mcukit.repair.bias_correction import correct_biases, correct_outputs

IMAGES = np.random.default_rng(1).uniform(0, 2, (5, 6, 5, 4)).astype(np.float32)

CASES: dict[str, tuple[Operator, tuple[int, ...]]] = {
    "pointwise": (Conv2d(Window((1, 1))), (7, 1, 1, 4)),
    "padded": (Conv2d(Window((3, 3), pads=(1, 1, 1, 1))), (7, 3, 3, 4)),
    "strided, uneven pads": (Conv2d(Window((3, 2), stride=(2, 2), pads=(0, 1, 1, 0))), (6, 3, 2, 4)),
    "groups": (Conv2d(Window((3, 3)), groups=2), (6, 3, 3, 2)),
    "depthwise": (DepthwiseConv2d(Window((3, 3), stride=(2, 1), pads=(1, 1, 1, 1))), (1, 3, 3, 4)),
    "depthwise, multiplier 2": (DepthwiseConv2d(Window((3, 3), dilation=(2, 1))), (1, 3, 3, 8)),
    "fully connected": (FullyConnected(), (3, 120)),
}


def network(operator: Operator, shape: tuple[int, ...]) -> Graph:
    """One layer with weights that nearly all round downwards."""
    random = np.random.default_rng(2)
    axis = 3 if isinstance(operator, DepthwiseConv2d) else 0
    steps = random.integers(-40, 40, shape) + 0.4
    weights = (steps / 127).astype(np.float32)
    weights[(slice(None), 0, 0) if axis == 3 else (slice(None),) + (0,) * (len(shape) - 1)] = 1.0
    bias = random.normal(size=shape[axis]).astype(np.float32)
    tensors = {
        "x": Tensor("x", (1, 6, 5, 4)),
        "w": Tensor("w", shape, weights),
        "b": Tensor("b", bias.shape, bias),
    }
    tensors["y"] = Tensor("y", operator.output_shape(list(tensors.values())))
    return Graph("one layer", tensors, (Node("layer", operator, ("x", "w", "b"), "y"),), ("x",), ("y",))


def dequantized(graph: Graph, quantized: Graph) -> Graph:
    """The float network with the weights and biases that the integers stand for."""
    tensors = dict(graph.tensors)
    for name in ("w", "b"):
        tensor = quantized.tensors[name]
        assert tensor.quantization is not None
        assert tensor.data is not None
        integers = np.asarray(tensor.data, np.int32)
        tensors[name] = Tensor(name, tensor.shape, tensor.quantization.dequantize(integers))
    return graph.replace(tensors=tensors)


def channel_means(graph: Graph) -> np.ndarray:
    output = FloatModel(graph).outputs(IMAGES)[0]
    return np.asarray(output.reshape(-1, output.shape[-1]).mean(axis=0, dtype=np.float64))


@pytest.mark.parametrize("name", CASES)
def test_means_of_output_channels_are_as_in_float(name: str) -> None:
    graph = network(*CASES[name])
    statistics = collect_statistics(FloatModel(graph), IMAGES)
    ranges = {key: choose_range(item, "min-max") for key, item in statistics.items()}
    quantized = quantize_graph(graph, ranges)
    corrected = correct_biases(graph, quantized, {key: item.mean for key, item in statistics.items()})
    expected = channel_means(graph)
    before = np.abs(channel_means(dequantized(graph, quantized)) - expected)
    after = np.abs(channel_means(dequantized(graph, corrected)) - expected)
    # What is left is half a step of the bias and the rounding of float32 sums.
    bias = corrected.tensors["b"].quantization
    assert bias is not None
    assert before.max() > 5e-3
    assert (after < bias.scale / 2 + 1e-5).all()
    assert corrected.tensors["w"] is quantized.tensors["w"]


def test_output_shift_is_taken_from_the_last_bias() -> None:
    graph = network(*CASES["fully connected"])
    statistics = collect_statistics(FloatModel(graph), IMAGES)
    quantized = quantize_graph(graph, {key: choose_range(item, "min-max") for key, item in statistics.items()})
    shift = np.array([0.5, 0.0, -0.25])
    moved = channel_means(dequantized(graph, correct_outputs(quantized, {"y": shift})))
    bias = quantized.tensors["b"].quantization
    assert bias is not None
    difference = channel_means(dequantized(graph, quantized)) - moved
    assert (np.abs(difference - shift) < bias.scale + 1e-5).all()


def test_a_shift_of_another_map_changes_nothing() -> None:
    graph = network(*CASES["pointwise"])
    statistics = collect_statistics(FloatModel(graph), IMAGES)
    quantized = quantize_graph(graph, {key: choose_range(item, "min-max") for key, item in statistics.items()})
    same = correct_outputs(quantized, {"x": np.ones(4)})
    assert np.array_equal(np.asarray(same.tensors["b"].data), np.asarray(quantized.tensors["b"].data))

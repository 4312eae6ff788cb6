# SPDX-License-Identifier: Apache-2.0
"""Rounded weights: what a layer computes from matrices of them, and that it computes less wrongly than before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import Range, choose_range
from mcukit.calibration.statistics import collect_statistics
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.filters import BIAS_LIMIT
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.operator import Operator
from mcukit.ops.window import Window
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph
from mcukit.repair import input_moments
from mcukit.repair.bias_correction import correct_biases
from mcukit.repair.filter_matrix import FilterMatrix
from mcukit.repair.input_moments import collect_input_moments
from mcukit.repair.weight_rounding import round_weights
from mcukit.simulation.simulation import Simulation
from tests.planning.networks import NETWORKS

CASES: dict[str, tuple[Operator, tuple[int, ...]]] = {
    "pointwise": (Conv2d(Window((1, 1))), (7, 1, 1, 4)),
    "padded": (Conv2d(Window((3, 3), pads=(1, 1, 1, 1))), (7, 3, 3, 4)),
    "strided, uneven pads": (Conv2d(Window((3, 2), stride=(2, 2), pads=(0, 1, 1, 0))), (6, 3, 2, 4)),
    "groups": (Conv2d(Window((3, 3)), groups=2), (6, 3, 3, 2)),
    "depthwise": (DepthwiseConv2d(Window((3, 3), stride=(2, 1), pads=(1, 1, 1, 1))), (1, 3, 3, 4)),
    "depthwise, multiplier 2": (DepthwiseConv2d(Window((3, 3), dilation=(2, 1))), (1, 3, 3, 8)),
    "fully connected": (FullyConnected(), (9, 120)),
}


def network(operator: Operator, shape: tuple[int, ...]) -> Graph:
    random = np.random.default_rng(2)
    channels = shape[3] if isinstance(operator, DepthwiseConv2d) else shape[0]
    tensors = {
        "x": Tensor("x", (1, 6, 5, 4)),
        "w": Tensor("w", shape, random.normal(size=shape).astype(np.float32)),
        "b": Tensor("b", (channels,), random.normal(size=channels).astype(np.float32)),
    }
    tensors["y"] = Tensor("y", operator.output_shape(list(tensors.values())))
    return Graph("one layer", tensors, (Node("layer", operator, ("x", "w", "b"), "y"),), ("x",), ("y",))


def images(count: int = 60) -> np.ndarray:
    """Pixels and channels that vary together, as behind a ReLU."""
    random = np.random.default_rng(3)
    values = 0.4 * random.normal(size=(count, 6, 5, 4)) + random.normal(size=(count, 1, 1, 1))
    return np.maximum(values + 0.3 * random.normal(size=(count, 6, 1, 4)), 0.0).astype(np.float32)


def quantized(graph: Graph, bits: int) -> tuple[FloatModel, Graph, Graph]:
    """(float model, plainly rounded weights with biases corrected, weights rounded by covariance)."""
    model, inputs = FloatModel(graph), images()
    statistics = collect_statistics(model, inputs)
    ranges = {key: choose_range(item, "min-max") for key, item in statistics.items()}
    plain = quantize_graph(graph, ranges, Precision(weights={"layer": bits}))
    corrected = correct_biases(graph, plain, {key: item.mean for key, item in statistics.items()})
    return model, corrected, round_weights(model, plain, inputs)


def output_error(graph: Graph, rounded: Graph) -> float:
    """Mean squared error that the weights alone cause, on other images."""
    weights = {name: _float(rounded.tensors[name]) for name in ("w", "b")}
    found, expected = (
        Simulation(network).run(images(100)[60:])[0]
        for network in (graph.replace(tensors={**graph.tensors, **weights}), graph)
    )
    return float(np.square(found - expected).mean())


def _float(tensor: Tensor) -> Tensor:
    assert tensor.quantization is not None
    return replace(tensor, data=tensor.quantization.dequantize(np.asarray(tensor.data, np.int64)), quantization=None)


@pytest.mark.parametrize("name", CASES)
def test_matrices_times_what_is_seen_are_the_layer(name: str) -> None:
    graph = network(*CASES[name])
    matrix = FilterMatrix.of(graph, graph.nodes[0])
    assert matrix is not None
    weights = np.asarray(graph.tensors["w"].data)
    assert np.array_equal(matrix.weights(matrix.matrices(weights)), weights)
    model, inputs = FloatModel(graph), images(3)
    maps = model.run(inputs)
    pixels = np.arange(matrix.output_map[0] * matrix.output_map[1])[1::2] if matrix.window else np.arange(1)
    product = matrix.seen(maps["x"], pixels).astype(np.float64) @ matrix.matrices(weights)
    found = product.transpose(1, 0, 2).reshape(len(inputs), len(pixels), -1) + np.asarray(graph.tensors["b"].data)
    expected = model.run_nhwc(inputs)["y"].reshape(len(inputs), -1, found.shape[2])[:, pixels]
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("name", CASES)
def test_outputs_are_nearer_to_float(name: str, bits: int) -> None:
    graph = network(*CASES[name])
    _, plain, rounded = quantized(graph, bits)
    assert output_error(graph, rounded) < 0.7 * output_error(graph, plain)
    weights, bias, source = (rounded.tensors[key] for key in ("w", "b", "x"))
    limit = {4: 7, 2: 1}[bits]
    assert np.asarray(weights.data).dtype == np.int8
    assert 0 < np.abs(np.asarray(weights.data)).max() <= limit
    assert weights.quantization is not None
    assert bias.quantization is not None
    assert source.quantization is not None
    assert weights.quantization.bits == bits
    product = np.float32(source.quantization.tensor_scale) * weights.quantization.scale
    assert np.array_equal(bias.quantization.scale, product)


def test_same_weights_every_time() -> None:
    graph = network(*CASES["padded"])
    first, second = quantized(graph, 4)[2], quantized(graph, 4)[2]
    for name in ("w", "b"):
        one, other = first.tensors[name], second.tensors[name]
        assert np.array_equal(np.asarray(one.data), np.asarray(other.data))
        assert one.quantization is not None
        assert other.quantization is not None
        assert one.quantization.same_as(other.quantization)


def test_layers_of_8_bits_stay_as_they_are() -> None:
    graph = network(*CASES["padded"])
    model = FloatModel(graph)
    integer = quantize_graph(graph, {"x": Range(0.0, 4.0), "y": Range(-9.0, 9.0)})
    assert round_weights(model, integer, images()).tensors == integer.tensors


def test_a_bias_beside_tiny_weights_still_fits() -> None:
    graph = network(*CASES["pointwise"])
    weights = np.asarray(graph.tensors["w"].data).copy()
    weights[0], weights[1] = 0.0, weights[1] * 1e-8
    graph = graph.replace(tensors={**graph.tensors, "w": replace(graph.tensors["w"], data=weights)})
    rounded = quantized(graph, 4)[2]
    integers = np.asarray(rounded.tensors["b"].data, np.int64)
    assert np.abs(integers).max() <= BIAS_LIMIT
    real = _float(rounded.tensors["b"]).data
    assert np.allclose(np.asarray(real)[:2], np.asarray(graph.tensors["b"].data)[:2], atol=1e-5)
    assert not np.asarray(rounded.tensors["w"].data)[:2].any()


def test_moments_are_the_same_in_several_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FloatModel(NETWORKS["residual"]())
    inputs = np.random.default_rng(1).normal(size=(20, 11, 9, 3)).astype(np.float32)
    names = [node.name for node in model.graph.nodes if node.operator.has_weights]
    seen: list[tuple[int, int]] = []
    together = dict(collect_input_moments(model, inputs, names))
    monkeypatch.setattr(input_moments, "MOMENT_BYTES", 1)
    alone = dict(collect_input_moments(model, inputs, names, lambda done, total: seen.append((done, total))))
    assert list(alone) == list(together) == names
    assert seen[-1] == (20 * len(names), 20 * len(names))
    for name in names:
        assert alone[name].samples == together[name].samples
        assert np.array_equal(alone[name].covariance, together[name].covariance)
    first = names[0]
    pixels = FilterMatrix.of(model.graph, model.graph.nodes[0])
    assert pixels is not None
    samples = pixels.seen(model.run(inputs)["input"], np.arange(99))[0].astype(np.float64)
    assert np.allclose(alone[first].covariance[0], np.cov(samples.T, bias=True), atol=1e-4)
    assert np.allclose(alone[first].mean[0], samples.mean(axis=0), atol=1e-5)


def test_inputs_of_very_unlike_sizes() -> None:
    graph = network(*CASES["pointwise"])
    model = FloatModel(graph)
    inputs = images() * np.array([1e-6, 1.0, 1e6, 0.0], np.float32)
    integer = quantize_graph(graph, {"x": Range(0.0, 4e6), "y": Range(-9e6, 9e6)}, Precision(weights={"layer": 4}))
    rounded = round_weights(model, integer, inputs)
    assert np.isfinite(_float(rounded.tensors["w"]).data).all()
    assert np.asarray(rounded.tensors["w"].data)[..., 2].any()

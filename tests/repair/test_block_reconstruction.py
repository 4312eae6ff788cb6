# SPDX-License-Identifier: Apache-2.0
"""Blocks of few bits that come nearer to the float network, and those that have no business changing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import choose_range
from mcukit.calibration.statistics import collect_statistics
from mcukit.graph.graph import Graph
from mcukit.graph.serialize import graph_bytes
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import INT8, Precision
from mcukit.quantized.quantize import quantize_graph
from mcukit.repair.adam import Adam
from mcukit.repair.bias_correction import correct_biases
from mcukit.repair.block_reconstruction import ReconstructionOptions, reconstruct_blocks
from mcukit.repair.rounding_variables import LayerVariables
from mcukit.repair.weight_rounding import round_weights
from mcukit.simulation.simulation import Simulation
from tests.float_networks import classifier, images

QUICK = ReconstructionOptions(steps=60, batch=8)
LAYERS = ("conv2d0", "depthwise_conv2d1", "conv2d2", "conv2d4", "conv2d6")
CASES = {
    "weights 4": Precision(weights=dict.fromkeys(LAYERS, 4)),
    "weights 2": Precision(weights=dict.fromkeys(LAYERS, 2)),
    "maps 4": Precision({"conv2d0": 4, "depthwise_conv2d1": 4, "conv2d2": 4, "add3": 4}),
    "both 4": Precision({"depthwise_conv2d1": 4, "add3": 4}, dict.fromkeys(LAYERS, 4)),
}


def rounded(precision: Precision) -> tuple[FloatModel, Graph]:
    """The float model, and what all other repairs make of it."""
    graph = classifier()
    model = FloatModel(graph)
    statistics = collect_statistics(model, images())
    ranges = {name: choose_range(item, "mse") for name, item in statistics.items()}
    plain = round_weights(model, quantize_graph(graph, ranges, precision), images())
    return model, correct_biases(graph, plain, {name: item.mean for name, item in statistics.items()})


def error(graph: Graph) -> float:
    """At the output, over images that nothing was learned from."""
    others = images(80)[24:]
    found, expected = (Simulation(network).run(others)[0] for network in (graph, classifier()))
    return float(np.square(found - expected).mean())


@pytest.mark.parametrize("case", CASES)
def test_the_output_is_nearer_to_float(case: str) -> None:
    model, quantized = rounded(CASES[case])
    learned = reconstruct_blocks(model, quantized, images(), QUICK)
    assert error(learned) < error(quantized)
    lower(learned)
    for name, tensor in learned.tensors.items():
        before = quantized.tensors[name].quantization
        assert (tensor.quantization.bits, tensor.quantization.zero_point) == (before.bits, before.zero_point)


def test_the_same_arguments_give_the_same_integers() -> None:
    model, quantized = rounded(CASES["both 4"])
    first, second = (reconstruct_blocks(model, quantized, images(), QUICK) for _ in range(2))
    assert graph_bytes(first) == graph_bytes(second)
    assert graph_bytes(first) != graph_bytes(quantized)


def test_8_bits_stay_as_they_are() -> None:
    model, quantized = rounded(INT8)
    assert reconstruct_blocks(model, quantized, images(), QUICK) is quantized


def test_blocks_without_narrow_parts_stay_as_they_are() -> None:
    model, quantized = rounded(Precision(weights={"conv2d0": 4, "conv2d2": 4}))
    learned = reconstruct_blocks(model, quantized, images(), QUICK)
    changed = {
        name
        for name, tensor in learned.tensors.items()
        if tensor.data is not None and not np.array_equal(tensor.data, quantized.tensors[name].data)
    }
    nodes = {node.name: node for node in quantized.nodes}
    first = {name for layer in LAYERS[:3] for name in nodes[layer].inputs[1:]}
    assert changed
    assert changed <= first


def test_a_block_that_gets_no_better_stays_as_it_is() -> None:
    model, quantized = rounded(CASES["weights 4"])
    spoiled = replace(QUICK, steps=3, bias_rate=100.0)
    assert reconstruct_blocks(model, quantized, images(), spoiled) is quantized


def test_one_image_teaches_nothing() -> None:
    model, quantized = rounded(CASES["weights 4"])
    assert reconstruct_blocks(model, quantized, images()[:1], QUICK) is quantized


def test_progress_counts_blocks() -> None:
    model, quantized = rounded(CASES["weights 4"])
    seen = list[tuple[int, int]]()
    reconstruct_blocks(model, quantized, images(), replace(QUICK, steps=1), lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_variables_begin_with_the_integers_that_were_there(layer: str, bits: int) -> None:
    _, quantized = rounded(Precision(weights={layer: bits}))
    node = next(node for node in quantized.nodes if node.name == layer)
    variables = LayerVariables.of(quantized, classifier().tensors[node.inputs[1]], node)
    for found, name in zip(variables.quantized(quantized), node.inputs[1:], strict=True):
        assert np.array_equal(found.data, quantized.tensors[name].data)
        assert np.array_equal(found.quantization.scale, quantized.tensors[name].quantization.scale)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_of_variables(layer: str) -> None:
    """Against differences, with no penalty: what the loss says about weights arrives at what they are made of."""
    _, quantized = rounded(Precision(weights={layer: 4}))
    node = next(node for node in quantized.nodes if node.name == layer)
    variables = LayerVariables.of(quantized, classifier().tensors[node.inputs[1]], node)
    random = np.random.default_rng(6)
    slope = random.normal(size=variables.lower.shape).astype(np.float32)
    found = list(variables.gradients(slope, np.zeros_like(variables.bias), 0.0, 2.0))
    for array, gradient in zip(variables.arrays(), found, strict=True):
        direction = random.normal(size=array.shape).astype(np.float32) * np.float32(0.01)
        kept, ends = array.copy(), []
        for sign in (1, -1):
            array[...] = kept + sign * direction
            ends.append(float((variables.weights().astype(np.float64) * slope).sum()))
        array[...] = kept
        expected = (ends[0] - ends[1]) / 2
        assert abs(float((gradient * direction).sum()) - expected) < 1e-3 * abs(expected) + 1e-5


def test_the_penalty_drives_weights_to_integers() -> None:
    _, quantized = rounded(Precision(weights={"conv2d2": 4}))
    node = next(node for node in quantized.nodes if node.name == "conv2d2")
    variables = LayerVariables.of(quantized, classifier().tensors[node.inputs[1]], node)
    optimizer = Adam(list(variables.arrays()), [0.1, 0.0, 0.0])
    nothing = np.zeros_like(variables.lower)
    for _ in range(100):
        optimizer.step(list(variables.gradients(nothing, np.zeros_like(variables.bias), 1.0, 2.0)))
    assert np.array_equal(variables.integers(), np.rint(variables.integers()))


def test_adam_finds_the_bottom() -> None:
    place = np.array([4.0, -7.0], np.float32)
    optimizer = Adam([place], [0.05])
    for _ in range(1000):
        optimizer.step([2 * (place - np.array([1.0, 2.0], np.float32))])
    assert np.abs(place - [1.0, 2.0]).max() < 1e-2


def test_adam_wants_a_rate_for_each_array() -> None:
    with pytest.raises(ValueError, match="2 arrays have 1 rates"):
        Adam([np.zeros(1, np.float32)] * 2, [0.1])

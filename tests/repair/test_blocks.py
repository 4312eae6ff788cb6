# SPDX-License-Identifier: Apache-2.0
"""Where networks are cut, and blocks forwards and backwards against the float and the simulated network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import choose_range
from mcukit.calibration.statistics import collect_statistics
from mcukit.graph.graph import Graph
from mcukit.graph.region import Region, whole_region
from mcukit.ops.add import Add
from mcukit.ops.mean import Mean
from mcukit.ops.sigmoid import Sigmoid
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph
from mcukit.repair.block_network import BlockNetwork, is_differentiable
from mcukit.repair.blocks import Block, block_graph, cut_into_blocks
from mcukit.simulation.simulation import Simulation
from tests.float_networks import classifier, images
from tests.planning.networks import POINT, Network

NARROW = Precision({"depthwise_conv2d1": 4}, {"conv2d0": 4, "conv2d4": 2})


def quantized(precision: Precision = NARROW) -> Graph:
    graph = classifier()
    statistics = collect_statistics(FloatModel(graph), images())
    return quantize_graph(graph, {name: choose_range(item, "min-max") for name, item in statistics.items()}, precision)


def filters(graph: Graph) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for node in graph.nodes:
        if node.operator.has_weights:
            pair = graph.node_inputs(node)[1:]
            found[node.name] = tuple(
                tensor.data if tensor.quantization is None else tensor.quantization.dequantize(tensor.data)
                for tensor in pair
            )
    return found


def turned(maps: np.ndarray) -> np.ndarray:
    """(height, width, images, channels)."""
    return np.ascontiguousarray(maps.transpose(1, 2, 0, 3))


def names(blocks: tuple[Block, ...]) -> list[str]:
    return [" ".join(node.name for node in block.nodes) for block in blocks]


def test_a_residual_is_one_block_and_a_softmax_in_none() -> None:
    graph = classifier()
    blocks = cut_into_blocks(graph, graph)
    assert names(blocks) == ["conv2d0 depthwise_conv2d1 conv2d2 add3", "conv2d4 mean5 conv2d6"]
    assert [block.source for block in blocks] == ["input", "add3"]
    assert names(cut_into_blocks(quantized(), graph)) == names(blocks)


def test_separable_units_are_blocks() -> None:
    net = Network(8, 8, 3)
    last = net.conv("input", 4)
    for _ in range(3):
        last = net.conv(net.depthwise(last), 4, POINT)
    graph = net.graph(last)
    assert [len(block.nodes) for block in cut_into_blocks(graph, graph)] == [3, 2, 2]


def test_what_is_read_twice_is_not_cut() -> None:
    net = Network(8, 8, 3)
    first = net.conv("input", 4)
    second = net.conv(net.conv(first, 4), 4)
    graph = net.graph(net.add(Add(), second, first))
    assert names(cut_into_blocks(graph, graph)) == ["conv2d0 conv2d1 conv2d2 add3"]


def test_operators_without_a_gradient_are_known() -> None:
    net = Network(8, 8, 3)
    graph = net.graph(net.conv(net.add(Sigmoid(), net.conv("input", 4)), 4))
    (block,) = cut_into_blocks(graph, graph)
    assert not is_differentiable(graph, block)
    assert all(is_differentiable(classifier(), block) for block in cut_into_blocks(classifier(), classifier()))


@pytest.mark.parametrize("index", [0, 1])
def test_float_blocks_compute_what_the_float_network_computes(index: int) -> None:
    graph = classifier()
    block = cut_into_blocks(graph, graph)[index]
    maps = FloatModel(graph).run_nhwc(images(6))
    network = BlockNetwork(graph, block)
    regions = network.regions(whole_region(graph.tensors[block.target]))
    found = network.run(turned(maps[block.source]), filters(graph), regions).output
    np.testing.assert_allclose(found, turned(maps[block.target]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1])
def test_quantized_blocks_compute_what_the_simulation_computes(index: int) -> None:
    graph = quantized()
    block = cut_into_blocks(graph, graph)[index]
    source = FloatModel(classifier()).run_nhwc(images(6))[block.source]
    grid = graph.tensors[block.source].quantization
    source = grid.dequantize(grid.quantize(source))
    expected = turned(Simulation(block_graph(graph, block)).run(source)[0])
    network = BlockNetwork(graph, block)
    regions = network.regions(whole_region(graph.tensors[block.target]))
    found = network.run(turned(source), filters(graph), regions).output
    # Maps of 8 bits are not rounded in a block, so that a value may fall to the other side of a 4-bit step behind them.
    assert np.abs(found - expected).mean() < graph.tensors[block.target].quantization.tensor_scale


@pytest.mark.parametrize("output", [Region(0, 4, 0, 3), Region(3, 8, 2, 9), Region(8, 12, 8, 12)])
def test_a_part_is_a_part_of_the_whole(output: Region) -> None:
    graph = quantized()
    block = cut_into_blocks(graph, graph)[0]
    network = BlockNetwork(graph, block)
    assert network.can_be_cropped
    whole = network.regions(whole_region(graph.tensors[block.target]))
    part = network.regions(output)
    held, source = part[block.source], turned(images(3))
    cut = source[held.first_row : held.last_row, held.first_column : held.last_column]
    found = network.run(cut, filters(graph), part).output
    expected = network.run(source, filters(graph), whole).output
    expected = expected[output.first_row : output.last_row, output.first_column : output.last_column]
    step = graph.tensors["depthwise_conv2d1"].quantization.tensor_scale
    assert np.abs(found - expected).max() < 1e-3 * step


def loss(network: BlockNetwork, layers: Mapping[str, tuple[np.ndarray, np.ndarray]], slope: np.ndarray) -> float:
    target = network.graph.tensors[network.block.target]
    output = network.run(turned(images(4)), layers, network.regions(whole_region(target))).output
    return float((output.astype(np.float64) * slope).sum())


@pytest.mark.parametrize("layer", ["conv2d0", "depthwise_conv2d1", "conv2d2"])
@pytest.mark.parametrize("operand", [0, 1])
def test_gradients_of_a_float_block(layer: str, operand: int) -> None:
    graph = classifier()
    network = BlockNetwork(graph, cut_into_blocks(graph, graph)[0])
    layers = filters(graph)
    target = graph.tensors[network.block.target]
    trace = network.run(turned(images(4)), layers, network.regions(whole_region(target)))
    random = np.random.default_rng(5)
    slope = random.normal(size=trace.output.shape).astype(np.float32)
    found = network.backward(trace, slope).filters[layer][operand]
    direction = random.normal(size=found.shape).astype(np.float32)
    ends = []
    for sign in (1, -1):
        changed = list(layers[layer])
        changed[operand] = changed[operand] + np.float32(sign * 1e-2) * direction
        ends.append(loss(network, {**layers, layer: tuple(changed)}, slope))
    expected = (ends[0] - ends[1]) / 2e-2
    assert abs(float((found * direction).sum()) - expected) < 0.01 * abs(expected) + 0.05


def test_a_mean_sees_all() -> None:
    net = Network(6, 6, 3)
    graph = net.graph(net.add(Mean(), net.conv("input", 4)))
    (block,) = cut_into_blocks(graph, graph)
    network = BlockNetwork(graph, block)
    assert not network.can_be_cropped
    assert network.regions(Region(0, 1, 0, 1))["input"] == Region(0, 6, 0, 6)

# SPDX-License-Identifier: Apache-2.0
"""Equalized networks compute what they did before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.graph.graph import Graph, map_shape
from mcukit.ops.activation import RELU, RELU6, UNBOUNDED, Clamp
from mcukit.repair.equalization import channel_magnitudes, equalizable_pairs, equalize
from tests.planning.networks import HALVE, NETWORKS, POINT, Network


def chain(clamp: Clamp = RELU) -> Graph:
    """Every kind of layer behind every other, with channels of very unequal size."""
    net = Network(8, 6, 3)
    last = net.conv("input", 8, HALVE)
    last = net.depthwise(last)
    last = net.conv(last, 6, POINT, groups=2)
    last = net.conv(last, 4, POINT, groups=2)
    last = net.conv(last, 5)
    last = net.dense(net.depthwise(last), 7)
    graph = net.graph(net.dense(last, 4))
    random = np.random.default_rng(1)
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        weights = tensors[node.inputs[1]]
        axis = 3 if weights.shape[0] == 1 else 0
        sizes = np.exp(random.normal(size=weights.shape[axis])).astype(np.float32)
        data = np.asarray(weights.data) * (sizes if axis == 3 else sizes.reshape(-1, *(1,) * (len(weights.shape) - 1)))
        tensors[weights.name] = replace(weights, data=data)
    nodes = [replace(node, operator=replace(node.operator, clamp=clamp)) for node in graph.nodes[:-1]]
    return graph.replace(tensors=tensors, nodes=(*nodes, graph.nodes[-1]))


def images(graph: Graph, size: float = 1.0) -> np.ndarray:
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    return (size * np.random.default_rng(5).normal(size=(20, *shape))).astype(np.float32)


@pytest.mark.parametrize("clamp", [RELU, UNBOUNDED])
def test_outputs_stay_and_weights_become_alike(clamp: Clamp) -> None:
    graph = chain(clamp)
    sizes = channel_magnitudes(FloatModel(graph), images(graph))
    equalized = equalize(graph, sizes)
    assert len(equalizable_pairs(graph)) == len(graph.nodes) - 1
    before, after = (FloatModel(network).outputs(images(graph))[0] for network in (graph, equalized))
    assert np.abs(after - before).max() < 1e-4 * np.abs(before).max()
    assert np.abs(before).max() > 1e-2
    for first, second in equalizable_pairs(graph):
        assert not np.array_equal(_data(graph, first.inputs[1]), _data(equalized, first.inputs[1]))
        assert not np.array_equal(_data(graph, second.inputs[1]), _data(equalized, second.inputs[1]))
    now = channel_magnitudes(FloatModel(equalized), images(graph))
    for first, _ in equalizable_pairs(graph):
        assert now[first.output].max() < 1.001 * sizes[first.output].max()


def test_largest_weights_on_both_sides_of_a_map_are_equal_where_it_allows_them() -> None:
    graph = chain()
    sizes = channel_magnitudes(FloatModel(graph), images(graph))
    free = {name: np.where(np.arange(len(values)) == 0, 1e9, values) for name, values in sizes.items()}
    equalized = equalize(graph, free)
    first, second = equalizable_pairs(graph)[0]
    outgoing = np.abs(_data(equalized, first.inputs[1])).max(axis=(1, 2, 3))
    incoming = np.abs(_data(equalized, second.inputs[1])).max(axis=(0, 1, 2))
    assert np.allclose(outgoing[1:], incoming[1:], rtol=0.05)


def _data(graph: Graph, name: str) -> np.ndarray:
    return np.asarray(graph.tensors[name].data)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_with_branches_compute_the_same(name: str) -> None:
    graph = NETWORKS[name]()
    model, inputs = FloatModel(graph), images(graph)
    before = model.outputs(inputs)
    after = FloatModel(equalize(graph, channel_magnitudes(model, inputs))).outputs(inputs)
    for one, other in zip(before, after, strict=True):
        assert np.allclose(one, other, atol=1e-4 * np.abs(one).max())


def test_branches_outputs_and_limits_are_left_alone() -> None:
    assert not equalizable_pairs(chain(RELU6))
    assert not equalizable_pairs(chain(Clamp(-1.0)))
    net = Network(8, 6, 3)
    first = net.conv("input", 4)
    second = net.conv(first, 4)
    branch = net.conv(first, 4)
    assert not equalizable_pairs(net.graph(second, branch))
    assert [pair[0].output for pair in equalizable_pairs(net.graph(net.conv(branch, 2), second))] == [branch]

# SPDX-License-Identifier: Apache-2.0
"""Networks with factors for the channels of their maps compute what they did before, and lose less with few bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import collect_statistics
from mcukit.export.tflite import build_tflite
from mcukit.ops.activation import RELU, RELU6, UNBOUNDED, Clamp
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.softmax import Softmax
from mcukit.precision.simulated_error import SimulatedError
from mcukit.quantized.precision import Precision
from mcukit.repair.calibrated import quantize_calibrated
from mcukit.repair.equalization import channel_magnitudes
from mcukit.repair.map_equalization import (
    SMALLEST_SHARE,
    channel_factors,
    equalize_maps,
    equalized_maps,
    equalized_sets,
    linked_maps,
    typical_magnitudes,
)
from mcukit.repair.repair import REPAIRED
from mcukit.simulation.output_error import measure_output_error
from tests.float_networks import classifier, images, unequal, unequal_chain
from tests.planning.networks import HALVE, NETWORKS, POINT, Network


def sets_of(build: Callable[[Network], tuple[str, ...]]) -> list[list[str]]:
    """The operators that compute each set of linked maps."""
    net = Network(8, 8, 3)
    outputs = build(net)
    graph = net.graph(*outputs)
    producers = graph.producers()
    return [sorted(producers[name].operator.op_name for name in linked.maps) for linked in linked_maps(graph)]


def _chain(net: Network) -> tuple[str, ...]:
    return (net.dense(net.conv(net.depthwise(net.conv("input", 4)), 5, POINT), 3),)


def _residual(net: Network) -> tuple[str, ...]:
    first = net.conv("input", 4)
    return (net.dense(net.add(Add(), net.conv(net.depthwise(first), 4, POINT), first), 3),)


def _limited_residual(net: Network) -> tuple[str, ...]:
    outputs = _residual(net)
    net.nodes[:] = [
        replace(node, operator=replace(node.operator, clamp=RELU6)) if node.operator.has_weights else node
        for node in net.nodes
    ]
    return outputs


def _pooled(net: Network) -> tuple[str, ...]:
    return (net.conv(net.add(Mean(), net.add(MaxPool(HALVE), net.conv("input", 4))), 3, POINT),)


def _joined(net: Network) -> tuple[str, ...]:
    return (net.conv(net.add(Concat(), net.conv("input", 4), net.conv("input", 2)), 3),)


def _from_input(net: Network) -> tuple[str, ...]:
    return (net.conv(net.add(AveragePool(HALVE), "input"), 3),)


def _softmax(net: Network) -> tuple[str, ...]:
    return (net.dense(net.add(Softmax(), net.conv("input", 4)), 3),)


def _is_output(net: Network) -> tuple[str, ...]:
    first = net.conv("input", 4)
    return first, net.dense(first, 3)


CASES = [
    (_chain, [["conv2d"], ["depthwise_conv2d"], ["conv2d"]]),
    (_residual, [["add", "conv2d", "conv2d"], ["depthwise_conv2d"]]),
    (_limited_residual, [["depthwise_conv2d"]]),
    (_pooled, [["conv2d", "max_pool", "mean"]]),
    (_joined, []),
    (_from_input, []),
    (_softmax, []),
    (_is_output, []),
]


@pytest.mark.parametrize(("build", "sets"), CASES, ids=[build.__name__ for build, _ in CASES])
def test_maps_are_linked_where_factors_pass(build: Callable[[Network], tuple[str, ...]], sets: list[list[str]]) -> None:
    assert sorted(sets_of(build)) == sorted(sets)


@pytest.mark.parametrize("clamp", [UNBOUNDED, RELU, RELU6], ids=["none", "relu", "relu6"])
def test_outputs_stay_and_channels_become_alike(clamp: Clamp) -> None:
    graph = unequal(classifier(), clamp)
    model, inputs = FloatModel(graph), images(20)
    magnitudes, sets = channel_magnitudes(model, inputs), linked_maps(graph)
    after = FloatModel(equalize_maps(graph, magnitudes, sets))
    assert np.allclose(after.outputs(inputs)[0], model.outputs(inputs)[0], atol=1e-4)
    now = channel_magnitudes(after, inputs)
    for linked in sets:
        factors = channel_factors(linked, magnitudes)
        assert 1.0 < factors.max() <= 1.0 / SMALLEST_SHARE
        for name in linked.maps:
            assert np.allclose(now[name], magnitudes[name] * factors, rtol=1e-3, atol=1e-5)


def test_typical_magnitudes_are_those_of_batches_on_average() -> None:
    model, inputs = FloatModel(classifier()), images(40)
    found = typical_magnitudes(model, inputs)
    parts = [channel_magnitudes(model, part) for part in (inputs[:20], inputs[20:])]
    for name, sizes in found.items():
        assert np.array_equal(sizes, (parts[0][name] + parts[1][name]) / 2)
    few = images(9)
    assert all(np.array_equal(v, channel_magnitudes(model, few)[k]) for k, v in typical_magnitudes(model, few).items())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_with_branches_compute_the_same(name: str) -> None:
    graph = NETWORKS[name]()
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    inputs = np.random.default_rng(5).normal(size=(6, *shape)).astype(np.float32)
    model = FloatModel(graph)
    after = FloatModel(equalize_maps(graph, channel_magnitudes(model, inputs), linked_maps(graph)))
    for one, other in zip(model.outputs(inputs), after.outputs(inputs), strict=True):
        assert np.allclose(one, other, atol=1e-4 * np.abs(one).max())


def test_maps_keep_their_channels_where_narrow_weights_mix_them() -> None:
    graph = classifier()
    mixing = [node.name for node in graph.nodes if node.operator.op_name == "conv2d"]
    names = [linked.maps for linked in equalized_sets(graph, Precision(dict.fromkeys(["depthwise_conv2d1"], 4)))]
    assert names == [("depthwise_conv2d1",)]
    narrow = Precision({"depthwise_conv2d1": 4}, dict.fromkeys(mixing, 4))
    assert equalized_sets(graph, narrow) == ()
    assert equalized_sets(graph, Precision()) == ()


MAPS = Precision({"conv2d0": 4, "depthwise_conv2d1": 4, "conv2d2": 4})


@pytest.mark.parametrize("clamp", [RELU, RELU6], ids=["relu", "relu6"])
def test_narrow_maps_lose_less(clamp: Clamp) -> None:
    model = FloatModel(unequal_chain(clamp))
    inputs = np.random.default_rng(2).normal(size=(24, 8, 8, 3)).astype(np.float32)
    statistics = collect_statistics(model, inputs)
    plain, better = (
        quantize_calibrated(
            model, statistics, inputs, precision=MAPS, ranges="mse", repair=replace(REPAIRED, map_equalization=chosen)
        ).model
        for chosen in (False, True)
    )
    errors = [measure_output_error(model, integers, inputs).typical for integers in (plain, better)]
    assert errors[1] < 0.8 * errors[0]
    # A limit that TFLite does not know would have to be an operator of its own.
    assert build_tflite(better.graph)


def test_simulation_tells_what_the_integers_do() -> None:
    graph = unequal_chain(RELU)
    model = FloatModel(graph)
    inputs = np.random.default_rng(2).normal(size=(24, 8, 8, 3)).astype(np.float32)
    statistics, equalized = collect_statistics(model, inputs), equalized_maps(model, inputs)
    plain, better = (
        SimulatedError(graph, statistics, inputs, ranges="mse", equalized=chosen).of(MAPS)
        for chosen in (None, equalized)
    )
    sets = equalized_sets(graph, MAPS)
    after = FloatModel(equalize_maps(graph, typical_magnitudes(model, inputs), sets))
    exact = SimulatedError(after.graph, collect_statistics(after, inputs), inputs, ranges="mse").of(MAPS)
    assert better == pytest.approx(exact, rel=0.1)
    assert better < 0.8 * plain

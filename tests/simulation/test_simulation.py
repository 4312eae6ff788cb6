# SPDX-License-Identifier: Apache-2.0
"""The simulation is near the integer reference, and a change of it is the simulation of the changed network."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime
import pytest

from mcukit.calibration.float_model import FloatModel, to_nhwc
from mcukit.calibration.ranges import choose_range
from mcukit.calibration.statistics import collect_statistics
from mcukit.emulation.reference import run_reference
from mcukit.graph.graph import Graph, Tensor, map_shape
from mcukit.quantized.integer import IntegerModel, Layer, MapForm
from mcukit.quantized.precision import INT8, Precision, quantization_groups, widest_choice
from mcukit.quantized.quantize import quantize_graph
from mcukit.simulation import simulation
from mcukit.simulation.output_error import before_softmax
from mcukit.simulation.simulation import Change, Simulation
from tests.planning.networks import NETWORKS

MIXED = "every second map and layer 4 bits"


def images(graph: Graph, count: int = 12) -> np.ndarray:
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    return np.random.default_rng(5).normal(size=(count, *shape)).astype(np.float32)


def mixed(graph: Graph) -> Precision:
    choices = widest_choice(graph)
    narrow = [root for root, bits in choices.items() if 4 in bits]
    layers = [node.name for node in graph.nodes if node.operator.has_weights]
    return Precision(dict.fromkeys(narrow[::2], 4), dict.fromkeys(layers[::2], 4))


@cache
def quantized(name: str, precision: str = "") -> tuple[Graph, Graph]:
    """One of NETWORKS in float and in integers."""
    graph = NETWORKS[name]()
    statistics = collect_statistics(FloatModel(graph), images(graph))
    ranges = {key: choose_range(item, "min-max") for key, item in statistics.items()}
    return graph, quantize_graph(graph, ranges, mixed(graph) if precision == MIXED else INT8)


def arithmetic(graph: Graph) -> IntegerModel:
    """The integer model, without asking whether there is a kernel for each width: only numbers matter here."""
    layers = []
    for node in graph.nodes:
        maps = graph.map_inputs(node)
        operator = node.operator.lower(graph.node_inputs(node), graph.tensors[node.output])
        forms = tuple(MapForm.of(graph.tensors[name]) for name in maps)
        layers.append(Layer(node, operator, maps, forms, MapForm.of(graph.tensors[node.output])))
    return IntegerModel(graph, tuple(layers))


def reference_outputs(graph: Graph, inputs: np.ndarray) -> list[np.ndarray]:
    """Real values of the outputs (in front of a softmax) that the integer reference computes."""
    source = graph.tensors[graph.inputs[0]].quantization
    assert source is not None
    maps = run_reference(arithmetic(graph), source.quantize(inputs), keep_maps=True).maps
    found = []
    for name in dict.fromkeys(before_softmax(graph, output) for output in graph.outputs):
        quantization = graph.tensors[name].quantization
        assert quantization is not None
        found.append(quantization.dequantize(maps[name]))
    return found


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_outputs_are_within_steps_of_the_reference(name: str) -> None:
    _, graph = quantized(name)
    simulated = Simulation(graph)
    inputs = images(graph)
    for key, found, expected in zip(
        simulated.outputs, simulated.run(inputs), reference_outputs(graph, inputs), strict=True
    ):
        quantization = graph.tensors[key].quantization
        assert quantization is not None
        steps = (found.reshape(expected.shape) - expected) / quantization.tensor_scale
        assert np.abs(steps).max() < 3.5
        assert root_mean_square(steps) < 0.5


@pytest.mark.parametrize("precision", ["", MIXED])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_is_within_one_step_of_the_reference(name: str, precision: str) -> None:
    """Given the reference's maps: of whole networks one step of 4 bits early on would show everywhere."""
    _, graph = quantized(name, precision)
    source = graph.tensors["input"].quantization
    assert source is not None
    maps = run_reference(arithmetic(graph), source.quantize(images(graph)), keep_maps=True).maps
    simulated = Simulation(graph)
    for node in simulated._nodes:
        grid = graph.tensors[node.output].quantization
        assert grid is not None
        operands = [_real_values(graph.tensors[key], maps[key]) for key in graph.map_inputs(node)]
        value = simulated._grid.rounded(simulated._layers[node.name].run(operands), grid)
        found = to_nhwc(value.numpy()).reshape(maps[node.output].shape)
        steps = np.rint(found / grid.tensor_scale + grid.zero_point) - maps[node.output]
        assert np.abs(steps).max() <= 1, node.name
        assert np.abs(steps).mean() < 0.25, node.name


def _real_values(tensor: Tensor, integers: np.ndarray) -> onnxruntime.OrtValue:
    assert tensor.quantization is not None
    values = tensor.quantization.dequantize(integers).reshape(-1, *tensor.shape[1:])
    ordered = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(ordered))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_float_graph_is_not_rounded(name: str) -> None:
    graph, _ = quantized(name)
    inputs = images(graph)
    maps = FloatModel(graph).run_nhwc(inputs)
    simulated = Simulation(graph)
    for key, found in zip(simulated.outputs, simulated.run(inputs), strict=True):
        assert np.allclose(found, maps[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_change_gives_what_the_changed_network_gives(name: str) -> None:
    original, graph = quantized(name)
    inputs = images(graph)
    groups = quantization_groups(original)
    changes, expected = [], []
    for root, bits in widest_choice(original).items():
        if 4 in bits:
            narrow = _requantized(original, Precision({root: 4}))
            maps = {key: narrow.tensors[key].quantization for key in groups if groups[key] == root}
            changes.append(Change(maps=maps))
            expected.append(_with(graph, narrow, maps))
    for node in original.nodes:
        if node.operator.has_weights:
            narrow = _requantized(original, Precision(weights={node.name: 2}))
            names = next(n for n in narrow.nodes if n.name == node.name).inputs[1:]
            changes.append(Change(weights={node.name: (narrow.tensors[names[0]], narrow.tensors[names[1]])}))
            expected.append(narrow)
    results = Simulation(graph).run_each(inputs, [*changes, Change()])
    for found, network in zip(results, [*expected, graph], strict=True):
        for one, other in zip(found, Simulation(network).run(inputs), strict=True):
            assert np.array_equal(one, other)


def _requantized(graph: Graph, precision: Precision) -> Graph:
    statistics = collect_statistics(FloatModel(graph), images(graph))
    ranges = {key: choose_range(item, "min-max") for key, item in statistics.items()}
    return quantize_graph(graph, ranges, precision)


def _with(graph: Graph, other: Graph, maps: dict) -> Graph:
    """`graph` with the quantizations that these maps have in `other`."""
    return graph.replace(tensors={**graph.tensors, **{name: other.tensors[name] for name in maps}})


def test_a_change_lifts_the_rounding_of_a_map() -> None:
    graph, integer = quantized("residual")
    inputs = images(graph)
    lifted = Change(
        maps=dict.fromkeys(tensor.name for tensor in integer.maps()),
        weights={
            node.name: (graph.tensors[node.inputs[1]], graph.tensors[node.inputs[2]])
            for node in graph.nodes
            if node.operator.has_weights
        },
    )
    found, real = Simulation(integer).run(inputs, lifted), Simulation(graph).run(inputs)
    assert np.array_equal(found[0], real[0])


def test_threads_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph = quantized("residual", MIXED)
    inputs = images(graph)
    whole = Simulation(graph, threads=1).run(inputs)[0]
    monkeypatch.setattr(simulation, "MOST_IMAGES", 5)
    seen: list[tuple[int, int]] = []
    parts = Simulation(graph, threads=3).run_each(inputs, [Change()], lambda done, total: seen.append((done, total)))
    assert np.array_equal(parts[0][0], whole)
    assert seen == [(5, 12), (10, 12), (12, 12)]


def test_unknown_names_are_refused() -> None:
    _, graph = quantized("residual")
    with pytest.raises(ValueError, match="no 'nothing', 'nobody'"):
        Simulation(graph).run(images(graph), Change({"nothing": None}, {"nobody": (None, None)}))

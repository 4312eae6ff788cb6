# SPDX-License-Identifier: Apache-2.0
"""Ranges chosen by the output: each is the best of the candidates for its map alone."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import MAP_RANGE_METHODS, choose_range, quantization_of
from mcukit.calibration.statistics import MapStatistics, collect_statistics
from mcukit.graph.graph import Graph, map_shape
from mcukit.quantized.precision import INT8, Precision, check_precision, quantization_groups, widest_choice
from mcukit.quantized.quantize import quantize_graph
from mcukit.repair.map_ranges import choose_ranges_by_output
from mcukit.simulation.output_distance import default_distance
from mcukit.simulation.simulation import Change, Simulation
from tests.planning.networks import NETWORKS


def images(graph: Graph) -> np.ndarray:
    """A few values are much larger than the others."""
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    values = np.random.default_rng(5).standard_t(3.0, size=(24, *shape))
    return values.astype(np.float32)


def narrow(graph: Graph) -> Precision:
    return Precision({root: 4 for root, bits in widest_choice(graph).items() if 4 in bits})


def errors(graph: Graph, ranges: dict, precision: Precision, inputs: np.ndarray) -> dict[str, float]:
    """What rounding the maps of each group alone does to the outputs."""
    quantized = quantize_graph(graph, ranges, precision)
    groups = quantization_groups(graph)
    roots = list(dict.fromkeys(groups.values()))
    changes = [
        Change({name: quantized.tensors[name].quantization for name in groups if groups[name] == root})
        for root in roots
    ]
    real, *found = Simulation(graph).run_each(inputs, [Change(), *changes])
    return {root: default_distance(graph)(real, outputs) for root, outputs in zip(roots, found, strict=True)}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", ["residual", "branches", "classifier", "several outputs", "squeeze and excite"])
def test_no_method_is_better_for_any_map(name: str, bits: int) -> None:
    graph = NETWORKS[name]()
    inputs, precision = images(graph), INT8 if bits == 8 else narrow(graph)
    statistics = collect_statistics(FloatModel(graph), inputs)
    chosen = choose_ranges_by_output(graph, statistics, inputs, precision)
    found = errors(graph, chosen, precision, inputs)
    widths = check_precision(graph, precision)
    better = 0
    for method in MAP_RANGE_METHODS:
        ranges = {key: choose_range(item, method, widths[key]) for key, item in statistics.items()}
        for root, error in errors(graph, ranges, precision, inputs).items():
            if root != quantization_groups(graph)["input"]:
                assert found[root] <= error * (1 + 1e-6)
                better += found[root] < error
    assert better
    assert chosen["input"] == choose_range(statistics["input"], "min-max")


def test_the_same_ranges_every_time() -> None:
    graph = NETWORKS["residual"]()
    inputs = images(graph)
    statistics = collect_statistics(FloatModel(graph), inputs)
    first, second = (choose_ranges_by_output(graph, statistics, inputs, narrow(graph)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("bits", [4, 2])
def test_squared_error_knows_how_many_bits_there_are(bits: int) -> None:
    values = np.maximum(np.random.default_rng(2).normal(size=100_000), 0.0)
    counts, edges = np.histogram(values, 2048)
    statistics = MapStatistics(float(edges[0]), float(edges[-1]), counts, np.zeros(1, np.float32))

    def error(span_bits: int) -> float:
        grid = quantization_of(choose_range(statistics, "mse", span_bits), bits)
        return float(np.square(grid.dequantize(grid.quantize(values)) - values).mean())

    assert error(bits) < 0.8 * error(8)
    assert choose_range(statistics, "percentile", bits).maximum < choose_range(statistics, "percentile").maximum

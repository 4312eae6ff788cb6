# SPDX-License-Identifier: Apache-2.0
"""Simulated errors against the integer network, and of one change against all others left in float."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import choose_range
from mcukit.calibration.statistics import collect_statistics
from mcukit.precision.plain_rounding import plain_rounding
from mcukit.precision.simulated_error import SimulatedError
from mcukit.quantized.precision import INT8, Precision
from mcukit.quantized.quantize import quantize_graph
from mcukit.simulation.output_distance import normalized_error, softmax_divergence
from mcukit.simulation.simulation import Change, Simulation
from tests.float_networks import classifier, images

GRAPH = classifier()
STATISTICS = collect_statistics(FloatModel(GRAPH), images())
NARROW = Precision({"conv2d0": 4, "conv2d4": 2}, {"conv2d4": 4})


def simulated(**options: object) -> SimulatedError:
    return SimulatedError(GRAPH, STATISTICS, images(), **options)  # type: ignore[arg-type]


def test_the_error_is_that_of_the_quantized_graph() -> None:
    errors = simulated(ranges="min-max")
    for precision in (INT8, NARROW):
        ranges = {name: choose_range(item, "min-max") for name, item in STATISTICS.items()}
        quantized = quantize_graph(GRAPH, ranges, precision)
        expected = Simulation(quantized).run(images())
        # Weights are rounded to other scales, and biases not at all: the first layers' maps are the same all the same.
        weights = {node.name: quantized.node_inputs(node)[1:3] for node in quantized.nodes if node.operator.has_weights}
        same = SimulatedError(
            GRAPH, STATISTICS, images(), ranges="min-max", weights=lambda node, _, w=weights: w[node.name]
        )
        np.testing.assert_array_equal(same.outputs(precision)[0], expected[0])
        assert same.of(precision) == softmax_divergence(Simulation(GRAPH).run(images()), expected)
        assert errors.of(precision) == pytest.approx(same.of(precision), rel=0.5)


def test_each_change_is_measured_alone() -> None:
    errors = simulated()
    changes = [Precision({"conv2d0": 2}), Precision(weights={"conv2d4": 2}), NARROW]
    seen: list[tuple[int, int]] = []
    found = errors.alone(changes, lambda done, total: seen.append((done, total)))

    assert seen == [(3, 3)]
    assert all(error > 0.0 for error in found)
    grid = (
        quantize_graph(
            GRAPH, {name: choose_range(item, "mse", 2) for name, item in STATISTICS.items()}, Precision({"conv2d0": 2})
        )
        .tensors["conv2d0"]
        .quantization
    )
    expected = Simulation(GRAPH).run(images(), Change({"conv2d0": grid}))
    real = Simulation(GRAPH).run(images())
    assert found[0] == softmax_divergence(real, expected)
    layer = next(node for node in GRAPH.nodes if node.name == "conv2d4")
    rounded = Change(weights={"conv2d4": plain_rounding(GRAPH)(layer, 2)})
    assert found[1] == softmax_divergence(real, Simulation(GRAPH).run(images(), rounded))


def test_nothing_named_is_the_float_network() -> None:
    assert simulated().alone([INT8]) == (0.0,)


def test_fewer_bits_add_error() -> None:
    errors = simulated()
    for name in ("conv2d0", "add3", "conv2d4"):
        four, two = errors.alone([Precision({name: bits}) for bits in (4, 2)])
        assert 0.0 < four < two


def test_the_distance_can_be_chosen() -> None:
    outputs = simulated().outputs(NARROW)
    assert simulated(distance=normalized_error).of(NARROW) == normalized_error(Simulation(GRAPH).run(images()), outputs)


def test_other_images_can_be_run() -> None:
    errors = simulated()
    np.testing.assert_array_equal(errors.outputs(NARROW, images()[:5])[0], errors.outputs(NARROW)[0][:5])

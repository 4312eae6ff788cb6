# SPDX-License-Identifier: Apache-2.0
"""Which ranges are chosen, and that the choice is the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import MAP_RANGE_METHODS, RANGE_METHODS
from mcukit.calibration.statistics import collect_statistics
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.softmax import Softmax
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.precision import INT8, Precision
from mcukit.repair.calibrated import quantize_calibrated
from mcukit.repair.repair import REPAIRED, UNREPAIRED, Repair
from mcukit.simulation.output_error import MOST_IMAGES, judging_images, measure_output_error


def classifier() -> Graph:
    """Two layers and a softmax, (1, 4, 4, 2) to 5 classes."""
    random = np.random.default_rng(3)
    tensors = {
        "x": Tensor("x", (1, 4, 4, 2)),
        "hidden": Tensor("hidden", (1, 16)),
        "logits": Tensor("logits", (1, 5)),
        "y": Tensor("y", (1, 5)),
    }
    for name, shape in {"w1": (16, 32), "b1": (16,), "w2": (5, 16), "b2": (5,)}.items():
        tensors[name] = Tensor(name, shape, random.normal(size=shape).astype(np.float32))
    nodes = (
        Node("first", FullyConnected(), ("x", "w1", "b1"), "hidden"),
        Node("second", FullyConnected(), ("hidden", "w2", "b2"), "logits"),
        Node("softmax", Softmax(), ("logits",), "y"),
    )
    return Graph("classifier", tensors, nodes, ("x",), ("y",))


def images(outlier: float) -> npt.NDArray[np.float32]:
    """200 images, one of which is `outlier` times as bright."""
    values = np.random.default_rng(4).normal(size=(200, 4, 4, 2))
    values[100] *= outlier
    return values.astype(np.float32)


def quantized(inputs: npt.NDArray[np.float32], ranges: str, bias_correction: bool = True) -> IntegerModel:
    model = FloatModel(classifier())
    statistics = collect_statistics(model, inputs)
    return quantize_calibrated(model, statistics, inputs, ranges=ranges, bias_correction=bias_correction).model


def constants(model: IntegerModel) -> dict[str, bytes]:
    """All that the choice of ranges and the correction of biases can change."""
    found = {}
    for name, tensor in model.graph.tensors.items():
        assert tensor.quantization is not None
        data = b"" if tensor.data is None else tensor.data.tobytes()
        found[name] = data + tensor.quantization.scale.tobytes() + bytes([tensor.quantization.zero_point & 255])
    return found


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_same_integers_every_time(method: str) -> None:
    assert constants(quantized(images(1.0), method)) == constants(quantized(images(1.0), method))


@pytest.mark.parametrize("outlier", [1.0, 30.0])
def test_output_error_takes_the_method_that_is_nearest_to_float(outlier: float) -> None:
    inputs = images(outlier)
    model = FloatModel(classifier())
    judged = judging_images(model.graph, inputs)
    errors = {
        method: measure_output_error(model, quantized(inputs, method, bias_correction=False), judged).typical
        for method in MAP_RANGE_METHODS
    }
    best = min(errors, key=lambda method: errors[method])
    chosen = quantized(inputs, "output-error", bias_correction=False)
    assert errors["min-max"] != errors["mse"]
    assert constants(chosen) == constants(quantized(inputs, best, bias_correction=False))


def test_bias_correction_changes_biases_only() -> None:
    plain, corrected = (constants(quantized(images(1.0), "mse", bias_correction=flag)) for flag in (False, True))
    assert {name for name in plain if plain[name] != corrected[name]} == {"b1", "b2"}


def test_progress_counts_every_image_of_every_method() -> None:
    model, inputs, seen = FloatModel(classifier()), images(1.0), list[tuple[int, int]]()
    quantize_calibrated(
        model, collect_statistics(model, inputs), inputs, progress=lambda done, total: seen.append((done, total))
    )
    total = MOST_IMAGES * len(MAP_RANGE_METHODS)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_map_by_map_counts_its_own_images_too() -> None:
    model, inputs, seen = FloatModel(classifier()), images(1.0), list[tuple[int, int]]()
    quantize_calibrated(
        model,
        collect_statistics(model, inputs),
        inputs,
        ranges="map-by-map",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (2 * MOST_IMAGES, 2 * MOST_IMAGES)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def repaired(repair: Repair, precision: Precision = INT8, ranges: str = "mse") -> tuple[IntegerModel, float]:
    """The integer model, and its error at the output."""
    model, inputs = FloatModel(classifier()), images(1.0)
    statistics = collect_statistics(model, inputs)
    found = quantize_calibrated(model, statistics, inputs, ranges=ranges, precision=precision, repair=repair).model
    return found, measure_output_error(model, found, inputs).typical


NARROW = Precision(weights={"first": 4, "second": 4})


def test_each_repair_of_narrow_weights_lowers_the_error() -> None:
    none = repaired(UNREPAIRED, NARROW)[1]
    biases = repaired(replace(UNREPAIRED, bias_correction=True), NARROW)[1]
    both = repaired(REPAIRED, NARROW)[1]
    assert both < 0.8 * biases < none


def test_repairs_of_narrow_weights_leave_int8_as_it_is() -> None:
    plain = repaired(replace(REPAIRED, weight_rounding=False))[0]
    assert constants(plain) == constants(repaired(REPAIRED)[0])
    assert constants(plain) == constants(repaired(replace(REPAIRED, block_reconstruction=True))[0])


def test_blocks_of_narrow_weights_are_fitted() -> None:
    narrow = Precision(weights={"first": 2, "second": 2})
    assert repaired(replace(REPAIRED, block_reconstruction=True), narrow)[1] < repaired(REPAIRED, narrow)[1]


def test_equalization_changes_weights_and_keeps_names() -> None:
    plain, equalized = repaired(REPAIRED)[0], repaired(replace(REPAIRED, equalization=True))
    before, after = constants(plain), constants(equalized[0])
    assert list(before) == list(after)
    assert before["w1"] != after["w1"]
    assert before["w2"] != after["w2"]
    assert equalized[1] < 0.01


def test_ranges_map_by_map_suit_narrow_maps() -> None:
    narrow, alone = Precision({"hidden": 4}), replace(REPAIRED, map_equalization=False)
    methods = {method: repaired(alone, narrow, method)[1] for method in ("map-by-map", *MAP_RANGE_METHODS)}
    assert methods["map-by-map"] <= min(methods.values()) * 1.05
    assert methods["map-by-map"] < methods["min-max"]


def test_few_images_are_all_judged() -> None:
    inputs = images(1.0)[:3]
    assert np.array_equal(judging_images(classifier(), inputs), inputs)

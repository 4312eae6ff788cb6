# SPDX-License-Identifier: Apache-2.0
"""From calibration to the int8 network that loses least: ranges chosen, biases corrected."""

from __future__ import annotations

__all__ = ["quantize_calibrated"]

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import MAP_RANGE_METHODS, OUTPUT_ERROR, choose_range
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph
from mcukit.precision.bias_correction import correct_biases, correct_outputs
from mcukit.precision.output_error import OutputError, judging_images, measure_output_error
from mcukit.precision.weight_rounding import round_weights
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import INT8, Precision, check_precision
from mcukit.quantized.quantize import quantize_graph, with_weights_of


def quantize_calibrated(
    model: FloatModel,
    statistics: Mapping[str, MapStatistics],
    inputs: npt.NDArray[np.float32],
    *,
    ranges: str = OUTPUT_ERROR,
    bias_correction: bool = True,
    precision: Precision = INT8,
    progress: Callable[[int, int], None] | None = None,
) -> IntegerModel:
    """The integer form of `model.graph`; the same arguments give the same integers.

    statistics: of every map over `inputs`, the calibration images (N, height, width, channels).
    ranges: one of RANGE_METHODS. "output-error" runs the integer model of every other method over some of the images
    and takes the one whose outputs are typically nearest to float: one method for all maps, since choices map by map
    follow the noise of the few images that time allows. bias_correction: see mcukit.precision.bias_correction.
    precision: where fewer than 8 bits are used; weights of so few are rounded by what they do to their layer's output.
    progress: called with (images done, images in all) while outputs are compared.
    """
    methods = tuple(MAP_RANGE_METHODS) if ranges == OUTPUT_ERROR else (ranges,)
    candidates = {method: _quantized(model.graph, statistics, method, precision) for method in methods}
    if any(bits < 8 for bits in precision.weights.values()):
        # Weights and their scales have nothing to do with the ranges of maps.
        rounded = round_weights(model, candidates[methods[0]], inputs)
        candidates = {method: with_weights_of(graph, rounded) for method, graph in candidates.items()}
    if bias_correction:
        means = {name: item.mean for name, item in statistics.items()}
        candidates = {method: correct_biases(model.graph, graph, means) for method, graph in candidates.items()}
    if len(methods) == 1 and not bias_correction:
        return lower(candidates[methods[0]])
    images = judging_images(model.graph, inputs)
    errors: dict[str, OutputError] = {}
    for index, (method, graph) in enumerate(candidates.items()):

        def advance(done: int, earlier: int = index * len(images)) -> None:
            if progress:
                progress(earlier + done, len(images) * len(methods))

        errors[method] = measure_output_error(model, lower(graph), images, advance)
    best = min(methods, key=lambda method: errors[method].typical)
    chosen = candidates[best]
    return lower(correct_outputs(chosen, errors[best].shift) if bias_correction else chosen)


def _quantized(graph: Graph, statistics: Mapping[str, MapStatistics], method: str, precision: Precision) -> Graph:
    bits = check_precision(graph, precision)
    # The input's range is the data's: clipping it would throw away what the camera saw.
    methods = {name: "min-max" if name in graph.inputs else method for name in statistics}
    ranges = {name: choose_range(statistics[name], methods[name], bits[name]) for name in statistics}
    return quantize_graph(graph, ranges, precision)

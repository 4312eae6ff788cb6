# SPDX-License-Identifier: Apache-2.0
"""From calibration to the int8 network that loses least: ranges chosen, biases corrected."""

from __future__ import annotations

__all__ = ["QuantizedNetwork", "quantize_calibrated"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import MAP_BY_MAP, MAP_RANGE_METHODS, OUTPUT_ERROR, Range, choose_range
from mcukit.calibration.statistics import MapStatistics, collect_statistics
from mcukit.graph.graph import Graph
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import INT8, Precision, check_precision
from mcukit.quantized.quantize import quantize_graph, with_weights_of
from mcukit.repair.bias_correction import correct_biases, correct_outputs
from mcukit.repair.block_reconstruction import reconstruct_blocks
from mcukit.repair.equalization import channel_magnitudes, equalize
from mcukit.repair.map_equalization import (
    LinkedMaps,
    equalize_maps,
    equalized_sets,
    typical_magnitudes,
    without_limits,
)
from mcukit.repair.map_ranges import choose_ranges_by_output
from mcukit.repair.repair import REPAIRED, Repair
from mcukit.repair.weight_rounding import round_weights
from mcukit.simulation.output_error import OutputError, judging_images, measure_output_error


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """model: the integers. basis: the float network whose maps they stand for, map by map.

    That is the calibrated network itself, or what equalization makes of it.
    """

    model: IntegerModel
    basis: FloatModel


def quantize_calibrated(
    model: FloatModel,
    statistics: Mapping[str, MapStatistics],
    inputs: npt.NDArray[np.float32],
    *,
    ranges: str = OUTPUT_ERROR,
    bias_correction: bool = True,
    precision: Precision = INT8,
    repair: Repair = REPAIRED,
    progress: Callable[[int, int], None] | None = None,
) -> QuantizedNetwork:
    """The integer form of `model.graph`; the same arguments give the same integers.

    statistics: of every map over `inputs`, the calibration images (N, height, width, channels).
    ranges: one of RANGE_METHODS. "output-error" runs the integer model of every other method over some of the images
    and takes the one whose outputs are typically nearest to float: one method for all maps, since for maps of 8 bits
    choices map by map follow the noise of the few images that time allows. With fewer bits "map-by-map" is better.
    precision: where fewer than 8 bits are used. repair: what wins back accuracy; biases are corrected if both it and
    bias_correction say so.
    progress: called with (images done, images in all) while outputs are compared.
    """
    repair = replace(repair, bias_correction=repair.bias_correction and bias_correction)
    basis, sets = _basis(model, inputs, precision, repair)
    if basis is not model:
        model, statistics = basis, collect_statistics(basis, inputs)
    images = judging_images(model.graph, inputs)
    runs = len(MAP_RANGE_METHODS) if ranges == OUTPUT_ERROR else 2 if ranges == MAP_BY_MAP else 1
    steps = _Steps(progress, len(images), runs)
    spans = _ranges(model.graph, statistics, ranges, precision, images, steps)
    candidates = {
        method: without_limits(quantize_graph(model.graph, span, precision), sets) for method, span in spans.items()
    }
    candidates = _repaired(model, candidates, statistics, inputs, repair)
    errors: dict[str, OutputError] = {}
    if len(candidates) > 1 or repair.bias_correction:
        errors = {
            method: measure_output_error(model, lower(graph), images, steps.next())
            for method, graph in candidates.items()
        }
    best = min(errors, key=lambda method: errors[method].typical) if errors else next(iter(candidates))
    chosen = candidates[best]
    if repair.block_reconstruction:
        rebuilt = reconstruct_blocks(model, chosen, inputs)
        if rebuilt is not chosen and repair.bias_correction:
            errors[best] = measure_output_error(model, lower(rebuilt), images)
        chosen = rebuilt
    integers = lower(correct_outputs(chosen, errors[best].shift) if repair.bias_correction else chosen)
    return QuantizedNetwork(integers, model)


def _basis(
    model: FloatModel, inputs: npt.NDArray[np.float32], precision: Precision, repair: Repair
) -> tuple[FloatModel, tuple[LinkedMaps, ...]]:
    """What equalization makes of `model`, or `model` itself; and the sets of maps with factors for their channels."""
    if repair.equalization:
        model = FloatModel(equalize(model.graph, channel_magnitudes(model, inputs)))
    sets = equalized_sets(model.graph, precision) if repair.map_equalization else ()
    if sets:
        model = FloatModel(equalize_maps(model.graph, typical_magnitudes(model, inputs), sets))
    return model, sets


class _Steps:
    """Progress of runs over the images, one after the other."""

    def __init__(self, progress: Callable[[int, int], None] | None, images: int, runs: int) -> None:
        self._progress, self._images, self._total = progress, images, images * runs
        self._started = 0

    def next(self) -> Callable[[int], None]:
        """What the next run reports its images to."""
        earlier = self._started * self._images
        self._started += 1

        def advance(done: int) -> None:
            if self._progress:
                self._progress(earlier + done, self._total)

        return advance


def _ranges(
    graph: Graph,
    statistics: Mapping[str, MapStatistics],
    ranges: str,
    precision: Precision,
    images: npt.NDArray[np.float32],
    steps: _Steps,
) -> dict[str, dict[str, Range]]:
    """Ranges of all maps, by each method that is to be tried."""
    if ranges == MAP_BY_MAP:
        advance = steps.next()
        chosen = choose_ranges_by_output(graph, statistics, images, precision, progress=lambda done, _: advance(done))
        return {MAP_BY_MAP: chosen}
    bits = check_precision(graph, precision)
    # The input's range is the data's: clipping it would throw away what the camera saw.
    return {
        method: {
            name: choose_range(item, "min-max" if name in graph.inputs else method, bits[name])
            for name, item in statistics.items()
        }
        for method in (MAP_RANGE_METHODS if ranges == OUTPUT_ERROR else (ranges,))
    }


def _repaired(
    model: FloatModel,
    candidates: dict[str, Graph],
    statistics: Mapping[str, MapStatistics],
    inputs: npt.NDArray[np.float32],
    repair: Repair,
) -> dict[str, Graph]:
    """Quantized graphs of the same weights under several ranges, with other weights and biases."""
    if repair.weight_rounding and _has_narrow_weights(first := next(iter(candidates.values()))):
        # Weights and their scales have nothing to do with the ranges of maps.
        rounded = round_weights(model, first, inputs)
        candidates = {method: with_weights_of(graph, rounded) for method, graph in candidates.items()}
    if repair.bias_correction:
        means = {name: item.mean for name, item in statistics.items()}
        candidates = {method: correct_biases(model.graph, graph, means) for method, graph in candidates.items()}
    return candidates


def _has_narrow_weights(graph: Graph) -> bool:
    quantizations = (graph.tensors[node.inputs[1]].quantization for node in graph.nodes if node.operator.has_weights)
    return any(quantization is not None and quantization.bits < 8 for quantization in quantizations)

# SPDX-License-Identifier: Apache-2.0
"""From a float network to an integer model: the data, the calibration, and the error that it leaves."""

from __future__ import annotations

__all__ = ["Quantized", "quantize_float"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.data import load_inputs
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.preprocessing import IDENTITY, Preprocessing
from mcukit.calibration.ranges import DEFAULT_RANGES, RANGE_METHODS
from mcukit.calibration.statistics import collect_statistics
from mcukit.calibration.synthetic import synthetic_inputs
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, map_shape
from mcukit.precision.calibrated import quantize_calibrated
from mcukit.quantized.integer import IntegerModel
from mcukit.report.metrics import ErrorMetrics, compare
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.progress import Progress

SYNTHETIC_IMAGES = 32
ERROR_IMAGES = 8
"""Images over which the error of every map against float is measured for the report."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """calibrated: whether ranges come from the user's data. errors: of maps against float, by tensor name."""

    model: IntegerModel
    preprocessing: Preprocessing
    calibrated: bool
    errors: Mapping[str, ErrorMetrics]


def quantize_float(graph: Graph, options: QuantizeOptions, report: Progress) -> Quantized:
    """Calibrates a float network on the chosen data, or on synthetic images where there are none."""
    ranges = _range_method(options)
    values, preprocessing = _calibration_data(graph, options)
    inputs = preprocessing.apply(values)
    float_model = FloatModel(graph)
    statistics = collect_statistics(float_model, inputs, lambda done, total: report("calibrate", done, total))
    model = quantize_calibrated(
        float_model,
        statistics,
        inputs,
        ranges=ranges,
        bias_correction=options.bias_correction,
        progress=lambda done, total: report("choose ranges", done, total),
    )
    errors = _measure_errors(float_model, model, inputs[:ERROR_IMAGES])
    return Quantized(model, preprocessing, options.calibration is not None, errors)


def _range_method(options: QuantizeOptions) -> str:
    method = options.ranges or DEFAULT_RANGES
    if method not in RANGE_METHODS:
        raise McukitError(
            "wrong-option",
            f"there is no range method '{method}'",
            where="--ranges",
            hint=f"choose one of {', '.join(RANGE_METHODS)}",
            exit_code=2,
        )
    return method


def _calibration_data(graph: Graph, options: QuantizeOptions) -> tuple[npt.NDArray[np.generic], Preprocessing]:
    """Raw values (N, height, width, channels), and what makes network inputs of them."""
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    if options.calibration is None:
        return synthetic_inputs(shape, SYNTHETIC_IMAGES).values, options.preprocessing or Preprocessing(1 / 255)
    dataset = load_inputs(options.calibration, shape)
    return dataset.values[: options.calibration_limit], options.preprocessing or IDENTITY


def _measure_errors(
    float_model: FloatModel, model: IntegerModel, sample: npt.NDArray[np.float32]
) -> dict[str, ErrorMetrics]:
    """How far every map of the integer model is from the float network's."""
    source = model.input.quantization
    if source is None:
        raise ValueError("the input is not quantized")
    real = float_model.run_nhwc(sample)
    run = run_reference(model, source.quantize(sample), keep_maps=True)
    errors = {}
    for tensor in model.graph.maps():
        if tensor.name in real and tensor.quantization is not None:
            found = tensor.quantization.dequantize(run.maps[tensor.name])
            errors[tensor.name] = compare(real[tensor.name], found)
    return errors

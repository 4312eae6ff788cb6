# SPDX-License-Identifier: Apache-2.0
"""From a float network to an integer model: the data, the calibration, and the error that it leaves."""

from __future__ import annotations

__all__ = ["Quantized", "calibration_data", "quantize_float"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mcukit.calibration.data import load_inputs
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.preprocessing import IDENTITY, Preprocessing
from mcukit.calibration.ranges import DEFAULT_RANGES, RANGE_METHODS
from mcukit.calibration.statistics_cache import cached_statistics
from mcukit.calibration.synthetic import synthetic_inputs
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, map_shape
from mcukit.planning.costs import load_costs
from mcukit.planning.kernel_choice import choose_kernels
from mcukit.planning.plan import Stage
from mcukit.precision.sensitivity import SensitivityResult
from mcukit.precision.vdpc import PatchClasses
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.repair.calibrated import quantize_calibrated
from mcukit.repair.repair import REPAIRED
from mcukit.report.metrics import ErrorMetrics, compare
from mcukit.workflow.bits_request import BitsRequest
from mcukit.workflow.mixed import Calibrated, FoundBits, bits_by_sensitivity, bits_by_vdqs, bits_of_plan
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.progress import Progress
from mcukit.workflow.room import Room

SYNTHETIC_IMAGES = 32
ERROR_IMAGES = 8
"""Images over which the error of every map against float is measured for the report."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """calibrated: whether ranges come from the user's data. errors: of maps against float, by tensor name.

    stages: of the plan that the bits were made for, where they were made for one. classes: of its patches. search: how
    bits were found, step by step.
    """

    model: IntegerModel
    preprocessing: Preprocessing
    calibrated: bool
    errors: Mapping[str, ErrorMetrics]
    stages: tuple[Stage, ...] | None = None
    classes: PatchClasses | None = None
    search: SensitivityResult | None = None


def quantize_float(
    graph: Graph, options: QuantizeOptions, report: Progress, request: BitsRequest | None = None
) -> Quantized:
    """Calibrates a float network on the chosen data, or on synthetic images where there are none."""
    ranges = _range_method(options)
    values, preprocessing = calibration_data(graph, options)
    inputs = preprocessing.apply(values)
    float_model = FloatModel(graph)
    statistics = cached_statistics(float_model, inputs, partial(report, "calibrate"))
    calibrated = Calibrated(float_model, statistics, inputs)
    asked = request or BitsRequest()
    found = _bits(calibrated, options, report, asked)
    precision = asked.given.precision if found is None else found.precision
    # Tiles of fewer bits share their weights with those of 8: what these are made for, channels included.
    repair = REPAIRED if asked.given.branching is None else replace(REPAIRED, map_equalization=False)
    quantized = quantize_calibrated(
        float_model,
        statistics,
        inputs,
        ranges=ranges,
        bias_correction=options.bias_correction,
        precision=precision,
        repair=replace(repair, block_reconstruction=options.reconstruct),
        progress=partial(report, "choose ranges"),
    )
    model = with_kernels(quantized.model, asked.kernels)
    stages: tuple[Stage, ...] | None = None
    classes: PatchClasses | None = None
    if options.bits is not None and options.bits.search == "vdqs":
        int8 = choose_kernels(model, load_costs(asked.target))
        result, stages = bits_by_vdqs(calibrated, int8, options.bits, asked.sram, asked.target)
        model, classes = result.model, result.classes
    elif asked.first is not None:
        model = bits_of_plan(calibrated, model, asked.given, asked.first)
    errors = _measure_errors(quantized.basis, model, inputs[:ERROR_IMAGES])
    search = None if found is None else found.search
    has_data = options.calibration is not None
    return Quantized(model, preprocessing, has_data, errors, stages, classes, search)


def _bits(calibrated: Calibrated, options: QuantizeOptions, report: Progress, request: BitsRequest) -> FoundBits | None:
    """The bits that a search by sensitivity finds; None where nobody asked for one."""
    if options.bits is None or options.bits.search != "sensitivity":
        return None
    room = None
    if request.fits is not None:
        room = Room(
            request.fits,
            request.sram,
            pushed=options.push_rows,
            kernels=request.kernels,
            target=request.target,
            counts_code=request.counts_code,
            fits_flash=request.fits_flash,
        )
    return bits_by_sensitivity(calibrated, options.bits, report, room, request.target, request.kernels)


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


def calibration_data(graph: Graph, options: QuantizeOptions) -> tuple[npt.NDArray[np.generic], Preprocessing]:
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
            # Where tiles have two forms, each map holds the pixels of its own form alone.
            computed = run.computed.get(tensor.name, np.ones(found.shape[:3], np.bool_))
            if computed.any():
                expected = real[tensor.name].reshape(found.shape)
                errors[tensor.name] = compare(expected[computed], found[computed])
    return errors

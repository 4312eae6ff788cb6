# SPDX-License-Identifier: Apache-2.0
"""An int8 form of a float network that is good for planning and for nothing else, in a second or two."""

from __future__ import annotations

__all__ = ["sketch"]

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.preprocessing import Preprocessing
from mcukit.calibration.statistics import collect_statistics
from mcukit.calibration.synthetic import synthetic_inputs
from mcukit.graph.graph import Graph, map_shape
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.repair.calibrated import quantize_calibrated


def sketch(graph: Graph) -> IntegerModel:
    """Any int8 form of a network: plans depend on shapes, and on no value.

    Raises McukitError where even one synthetic image can't be calibrated on.
    """
    if graph.tensors[graph.inputs[0]].quantization is not None:
        return lower(graph)
    images = synthetic_inputs(map_shape(graph.tensors[graph.inputs[0]].shape), 1).values
    inputs = Preprocessing(1 / 255).apply(images)
    model = FloatModel(graph)
    statistics = collect_statistics(model, inputs)
    return quantize_calibrated(model, statistics, inputs, ranges="min-max", bias_correction=False).model

# SPDX-License-Identifier: Apache-2.0
"""An int8 form of a float network that is good for planning and for nothing else, in a second or two."""

from __future__ import annotations

__all__ = ["sketch"]

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.preprocessing import Preprocessing
from mcukit.calibration.statistics import collect_statistics
from mcukit.calibration.synthetic import synthetic_inputs
from mcukit.graph.graph import Graph, map_shape
from mcukit.planning.costs import DEFAULT_TARGET, load_costs
from mcukit.planning.kernel_choice import choose_kernels
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.repair.calibrated import quantize_calibrated


def sketch(graph: Graph, kernels: KernelSet = KernelSet.PORTABLE, target: str = DEFAULT_TARGET) -> IntegerModel:
    """Any int8 form of a network with a set of C kernels: plans depend on these and on shapes, and on no value.

    target: the core by whose costs kernels of the set, and of those before it, are chosen.
    Raises McukitError where even one synthetic image can't be calibrated on.
    """
    if graph.tensors[graph.inputs[0]].quantization is not None:
        return choose_kernels(lower(graph, kernels), load_costs(target))
    images = synthetic_inputs(map_shape(graph.tensors[graph.inputs[0]].shape), 1).values
    inputs = Preprocessing(1 / 255).apply(images)
    float_model = FloatModel(graph)
    statistics = collect_statistics(float_model, inputs)
    quantized = quantize_calibrated(float_model, statistics, inputs, ranges="min-max", bias_correction=False)
    return choose_kernels(with_kernels(quantized.model, kernels), load_costs(target))

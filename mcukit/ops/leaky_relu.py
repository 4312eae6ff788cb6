# SPDX-License-Identifier: Apache-2.0
"""x where it is positive, alpha * x elsewhere."""

from __future__ import annotations

__all__ = ["LeakyRelu"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops import lookup
from mcukit.ops.operator import onnx_operator, tflite_operator
from mcukit.quantized.arithmetic import quantize_multiplier, requantize
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

_LARGEST_FACTOR = float(1 << 22)
"""A difference of two bytes times a larger factor would not fit 32 bits."""


@dataclass(frozen=True)
class LeakyRelu(lookup.UnaryOperator):
    """Input: map. alpha: any finite factor, also a negative one; kept as float32."""

    op_name = "leaky_relu"
    alpha: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", float(np.float32(self.alpha)))

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        values = lookup.INPUTS - source.zero_point
        negative = _scaled(values, source.tensor_scale * self.alpha / target.tensor_scale)
        positive = _scaled(values, source.tensor_scale / target.tensor_scale)
        result = np.where(values >= 0, positive, negative) + target.zero_point
        table: npt.NDArray[np.int8] = np.clip(result, target.minimum, target.maximum).astype(np.int8)
        return table

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.add("LeakyRelu", [builder.value(inputs[0])], [builder.value(output)], alpha=self.alpha)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.LEAKY_RELU, options.LeakyReluOptions(self.alpha), operands, results)


def _scaled(values: npt.NDArray[np.int64], factor: float) -> npt.NDArray[np.int64]:
    """values * factor; a negative factor changes the sign of what its magnitude gives, ties included."""
    if abs(factor) >= _LARGEST_FACTOR:
        raise McukitError(
            "unsupported-quantization",
            f"a LeakyRelu that multiplies stored integers with {factor:g} doesn't fit 32 bits",
            hint="calibrate with data that reach more of the network's range",
        )
    multiplier, shift = quantize_multiplier(abs(factor))
    scaled = requantize(values, multiplier, shift)
    return -scaled if factor < 0 else scaled


@onnx_operator("LeakyRelu")
def import_onnx_leaky_relu(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("alpha")
    context.unary(node, LeakyRelu(_finite(context, node.real("alpha", 0.01))))


@onnx_operator("PRelu")
def import_onnx_prelu(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    slopes = np.unique(context.constant(node.inputs[1]))
    if slopes.size != 1:
        context.unsupported(
            f"a PRelu with {slopes.size} different slopes",
            "train with one slope for all channels (torch.nn.PReLU with num_parameters=1) or with LeakyReLU",
        )
    context.unary(node, LeakyRelu(_finite(context, float(slopes[0]))))


@tflite_operator(BuiltinOperator.LEAKY_RELU)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.LeakyReluOptions)
    operation = LeakyRelu(_finite(context, attributes.alpha))
    context.add(operator, operation, [context.input(operator, 0).name])


def _finite(context: OnnxContext | TfliteContext, alpha: float) -> float:
    if not math.isfinite(np.float32(alpha)):
        context.invalid(f"the slope {alpha} is not a finite float32")
    return alpha

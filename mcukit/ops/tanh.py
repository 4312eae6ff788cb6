# SPDX-License-Identifier: Apache-2.0
"""Hyperbolic tangent."""

from __future__ import annotations

__all__ = ["Tanh"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops import fixed_point, lookup
from mcukit.ops.operator import onnx_operator, tflite_operator
from mcukit.quantized.arithmetic import rounding_divide
from mcukit.tflite import schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext


@dataclass(frozen=True)
class Tanh(lookup.UnaryOperator):
    """Input: map. The output's scale is 1/128, its zero point 0."""

    op_name = "tanh"

    def fixed_output(self, inputs: Sequence[Tensor]) -> Quantization:
        return lookup.TANH_OUTPUT

    def output_limits(self) -> tuple[float, float]:
        return -1.0, 1.0

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        lookup.require_fixed(target, lookup.TANH_OUTPUT)
        return lookup.sigmoidal_table(source, _stored)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.add("Tanh", [builder.value(inputs[0])], [builder.value(output)])

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.operator(BuiltinOperator.TANH, None, [builder.tensor(inputs[0])], [builder.tensor(output)])


def _stored(arguments: npt.NDArray[np.int64], integer_bits: int) -> npt.NDArray[np.int64]:
    return rounding_divide(fixed_point.tanh(arguments, integer_bits), 31 - 7)


@onnx_operator("Tanh")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.unary(node, Tanh())


@tflite_operator(BuiltinOperator.TANH)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    output = context.add(operator, Tanh(), [context.input(operator, 0).name])
    lookup.check_fixed_output(context, output, lookup.TANH_OUTPUT)

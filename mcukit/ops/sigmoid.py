# SPDX-License-Identifier: Apache-2.0
"""1 / (1 + exp(-x)): TFLite's LOGISTIC."""

from __future__ import annotations

__all__ = ["Sigmoid"]

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
class Sigmoid(lookup.UnaryOperator):
    """Input: map. The output's scale is 1/256, its zero point -128."""

    op_name = "sigmoid"

    def fixed_output(self, inputs: Sequence[Tensor]) -> Quantization:
        return lookup.SIGMOID_OUTPUT

    def output_limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        lookup.require_fixed(target, lookup.SIGMOID_OUTPUT)
        return lookup.sigmoidal_table(source, _stored)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.add("Sigmoid", [builder.value(inputs[0])], [builder.value(output)])

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.LOGISTIC, None, operands, results)


def _stored(arguments: npt.NDArray[np.int64], integer_bits: int) -> npt.NDArray[np.int64]:
    return rounding_divide(fixed_point.logistic(arguments, integer_bits), 31 - 8) - 128


@onnx_operator("Sigmoid")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.unary(node, Sigmoid())


@tflite_operator(BuiltinOperator.LOGISTIC)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    output = context.add(operator, Sigmoid(), [context.input(operator, 0).name])
    lookup.check_fixed_output(context, output, lookup.SIGMOID_OUTPUT)

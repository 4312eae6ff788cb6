# SPDX-License-Identifier: Apache-2.0
"""Sum of two operands. Kernel: firmware/mcukit_nn/src/mk_add_s8.c, mk_add_s8_dsp.c."""

from __future__ import annotations

__all__ = ["Add"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcukit.graph.graph import Tensor
from mcukit.ops import elementwise
from mcukit.ops.operator import onnx_operator, tflite_operator
from mcukit.quantized.integer import IntegerOperator
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext


@dataclass(frozen=True)
class Add(elementwise.BinaryOperator):
    """Inputs: operands a and b. The output is a + b."""

    op_name = "add"
    onnx_type = "Add"
    builtin = BuiltinOperator.ADD

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        arithmetic = elementwise.SumArithmetic.derive(inputs, output, self.clamp)
        operands = elementwise.Operands.derive(inputs, output)
        return elementwise.SumInt8("mk_add_s8", 1, operands, arithmetic, "mk_add_s8_dsp")

    def tflite_options(self, builder: TfliteBuilder) -> options.AddOptions:
        return options.AddOptions(activation=builder.activation(self.clamp))


@onnx_operator("Add")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.elementwise(node, Add)


@tflite_operator(BuiltinOperator.ADD)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    clamp = context.clamp(context.options(operator, options.AddOptions).activation)
    context.add(operator, Add(clamp), elementwise.import_tflite_operands(context, operator))

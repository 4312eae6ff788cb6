# SPDX-License-Identifier: Apache-2.0
"""Difference of two operands. Kernel: firmware/mcukit_nn/src/mk_sub_s8.c."""

from __future__ import annotations

__all__ = ["Sub"]

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
class Sub(elementwise.BinaryOperator):
    """Inputs: operands a and b. The output is a - b."""

    op_name = "sub"
    onnx_type = "Sub"
    builtin = BuiltinOperator.SUB

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        arithmetic = elementwise.SumArithmetic.derive(inputs, output, self.clamp)
        return elementwise.SumInt8("mk_sub_s8", -1, elementwise.Operands.derive(inputs, output), arithmetic)

    def tflite_options(self, builder: TfliteBuilder) -> options.SubOptions:
        return options.SubOptions(activation=builder.activation(self.clamp))


@onnx_operator("Sub")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.elementwise(node, Sub)


@tflite_operator(BuiltinOperator.SUB)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    clamp = context.clamp(context.options(operator, options.SubOptions).activation)
    context.add(operator, Sub(clamp), elementwise.import_tflite_operands(context, operator))

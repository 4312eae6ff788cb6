# SPDX-License-Identifier: Apache-2.0
"""Product of two operands, and division by a constant.

Kernel: firmware/mcukit_nn/src/mk_mul_s8.c, mk_mul_s8_dsp.c.
"""

from __future__ import annotations

__all__ = ["Mul", "MulInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Tensor
from mcukit.graph.region import Region
from mcukit.ops import elementwise
from mcukit.ops.maps import quantization_of
from mcukit.ops.operator import onnx_operator, tflite_operator
from mcukit.quantized.arithmetic import quantize_multiplier, requantize
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext


@dataclass(frozen=True)
class Mul(elementwise.BinaryOperator):
    """Inputs: operands a and b. The output is a * b."""

    op_name = "mul"
    onnx_type = "Mul"
    builtin = BuiltinOperator.MUL

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        a, b, target = (quantization_of(tensor) for tensor in (*inputs, output))
        multiplier, shift = quantize_multiplier(a.tensor_scale * b.tensor_scale / target.tensor_scale)
        operands = elementwise.Operands.derive(inputs, output)
        zero_points = a.zero_point, b.zero_point, target.zero_point
        return MulInt8(operands, multiplier, shift, zero_points, self.clamp.integer_limits(target))

    def tflite_options(self, builder: TfliteBuilder) -> options.MulOptions:
        return options.MulOptions(activation=builder.activation(self.clamp))


@dataclass(frozen=True, eq=False)
class MulInt8(IntegerOperator):
    """zero_points: of a, b and the output. limits: of stored output values."""

    operands: elementwise.Operands
    multiplier: int
    shift: int
    zero_points: tuple[int, int, int]
    limits: tuple[int, int]

    def evaluate(self, inputs: Sequence[npt.NDArray[np.int8]]) -> npt.NDArray[np.int8]:
        return self._results(*self.operands.values(inputs))

    def _results(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        product = (a - self.zero_points[0]) * (b - self.zero_points[1])
        result = requantize(product, self.multiplier, self.shift) + self.zero_points[2]
        return np.clip(result, *self.limits).astype(np.int8)

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        return replace(self, operands=self.operands.crop(output))

    def largest_accumulator(self) -> int:
        a, b = (max(127 - zero_point, zero_point + 128) for zero_point in self.zero_points[:2])
        return (a * b) << max(self.shift, 0)

    def kernel(self) -> Kernel:
        return Kernel(
            "mk_mul_s8",
            (
                Field("multiplier", self.multiplier),
                Field("shift", self.shift),
                Field("a_zero_point", self.zero_points[0]),
                Field("b_zero_point", self.zero_points[1]),
                Field("output_zero_point", self.zero_points[2]),
                Field("minimum", self.limits[0]),
                Field("maximum", self.limits[1]),
            ),
            in_place=self.operands.in_place(),
            constant_maps=self.operands.constant_maps(),
        )

    def dsp_kernel(self) -> Kernel:
        has_all_channels = all(shape[2] == self.operands.output_map[2] for shape in self.operands.shapes)
        suits = has_all_channels and self.multiplier >= 1 << 30 and self.shift < 0
        return replace(self.kernel(), function="mk_mul_s8_dsp" if suits else "mk_mul_s8")

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return self.operands.packed(self.kernel(), "mk_mul_packed", self._results, inputs, output)


@onnx_operator("Mul")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.elementwise(node, Mul)


@onnx_operator("Div")
def import_onnx_div(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    if not context.is_constant(node.inputs[1]):
        context.unsupported("a division by a computed value", "divide by a constant or multiply")
    divisor = context.constant(node.inputs[1])
    if divisor.dtype != np.float32 or not divisor.all():
        context.unsupported("a division of integers or by zero", "divide floats by constants other than zero")
    name = f"{node.name}/reciprocal"
    while context.knows(name):
        name += "_"
    context.set_constant(name, np.reciprocal(divisor))
    context.elementwise(replace(node, inputs=(node.inputs[0], name)), Mul)


@tflite_operator(BuiltinOperator.MUL)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    clamp = context.clamp(context.options(operator, options.MulOptions).activation)
    context.add(operator, Mul(clamp), elementwise.import_tflite_operands(context, operator))

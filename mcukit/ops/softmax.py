# SPDX-License-Identifier: Apache-2.0
"""Softmax over channels. Kernel: firmware/mcukit_nn/src/mk_softmax_s8.c."""

from __future__ import annotations

__all__ = ["Softmax", "SoftmaxInt8"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Shape, Tensor
from mcukit.ops import fixed_point, lookup
from mcukit.ops.maps import quantization_of
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.quantized.arithmetic import (
    quantize_multiplier,
    requantize,
    rounding_divide,
    rounding_doubling_high_multiply,
)
from mcukit.quantized.integer import ConstantArray, Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]

_ARGUMENT_INTEGER_BITS = 5
_SUM_INTEGER_BITS = 12


@dataclass(frozen=True)
class Softmax(Operator):
    """Input: map. exp(beta * x) over its sum along the last axis.

    The output's scale is 1/256, its zero point -128.
    """

    op_name = "softmax"
    beta: float = 1.0

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        return inputs[0].shape

    def fixed_output(self, inputs: Sequence[Tensor]) -> Quantization:
        return lookup.SIGMOID_OUTPUT

    def output_limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        value = builder.value(inputs[0])
        if self.beta != 1.0:
            scaled = builder.temporary()
            builder.add("Mul", [value, builder.constant(np.array(self.beta, np.float32))], [scaled])
            value = scaled
        rank = len(output.shape)
        builder.add("Softmax", [value], [builder.value(output)], axis=1 if rank == 4 else rank - 1)

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        lookup.require_fixed(quantization_of(output), lookup.SIGMOID_OUTPUT)
        scale = quantization_of(inputs[0]).tensor_scale
        return SoftmaxInt8(_exponentials(self.beta * scale), output.shape[-1])

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.SOFTMAX, options.SoftmaxOptions(self.beta), operands, results)


def _exponentials(step: float) -> npt.NDArray[np.int64]:
    """exp(-step * d) for d from 0 to 255 in int32 without integer bits; 0 where TFLM takes it as too small.

    step: a difference of 1 in real values, times beta.
    """
    factor = min(step * (1 << (31 - _ARGUMENT_INTEGER_BITS)), (1 << 31) - 1.0)
    if factor <= 1.0:
        raise McukitError(
            "unsupported-quantization",
            f"a softmax whose input steps are {step:g} can't be computed in 32 bits",
            hint="calibrate with data that reach more of the network's range",
        )
    multiplier, shift = quantize_multiplier(factor)
    largest = ((1 << _ARGUMENT_INTEGER_BITS) - 1) << (31 - _ARGUMENT_INTEGER_BITS)
    differences = -np.arange(256, dtype=np.int64)
    counted = -differences <= largest >> shift
    arguments = requantize(np.where(counted, differences, 0), multiplier, shift)
    return np.where(counted, fixed_point.exp_of_negative(arguments, _ARGUMENT_INTEGER_BITS), 0)


@dataclass(frozen=True, eq=False)
class SoftmaxInt8(IntegerOperator):
    """exponentials: int32 in int64, exp of (x - largest x of the pixel) at minus that difference."""

    exponentials: npt.NDArray[np.int64]
    channels: int

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        values = inputs[0].astype(np.int64)
        exponentials = self.exponentials[values.max(axis=-1, keepdims=True) - values]
        total = rounding_divide(exponentials, _SUM_INTEGER_BITS).sum(axis=-1, keepdims=True)
        # frexp counts the bits of the sum, which is below 2^53.
        leading_zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
        reciprocal = fixed_point.one_over_one_plus((total << leading_zeros) - (1 << 31))
        scaled = rounding_doubling_high_multiply(exponentials, reciprocal)
        shifted = rounding_divide(scaled, _SUM_INTEGER_BITS - leading_zeros + 31 - 8)
        return np.clip(shifted - 128, -128, 127).astype(np.int8)

    def largest_accumulator(self) -> int:
        return self.channels << (31 - _SUM_INTEGER_BITS)

    def kernel(self) -> Kernel:
        table = ConstantArray(
            "exponentials", "int32_t", self.exponentials.astype(np.int32), "[largest of the pixel - input]"
        )
        return Kernel("mk_softmax_s8", (Field("exponentials", table),), in_place=(0,))

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_softmax_packed", in_place=())


@onnx_operator("Softmax")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("axis")
    index = context.view(node.inputs[0]).index
    flattens = context.opset < 13
    axis = node.integer("axis", 1 if flattens else -1)
    if not -index.ndim <= axis < index.ndim:
        context.invalid(f"axis {axis} of a value with {index.ndim} dimensions")
    channels = context.operand(node.inputs[0]).shape[-1]
    if flattens:
        groups = index.reshape(math.prod(index.shape[: axis % index.ndim]), -1)
    else:
        groups = np.moveaxis(index, axis, -1).reshape(-1, index.shape[axis])
    if not _are_pixels(groups, channels):
        context.unsupported("a Softmax along another axis than channels", "apply it to the channel axis")
    context.unary(node, Softmax())


def _are_pixels(groups: npt.NDArray[np.integer], channels: int) -> bool:
    """Whether each row of physical offsets is all channels of one pixel."""
    ordered = np.sort(groups, axis=1)
    first = ordered[:, :1]
    return bool(np.all(first % channels == 0)) and np.array_equal(ordered, first + np.arange(channels))


@tflite_operator(BuiltinOperator.SOFTMAX)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    beta = context.options(operator, options.SoftmaxOptions).beta
    if not (0 < beta < math.inf):
        context.invalid(f"a softmax with beta {beta}")
    output = context.add(operator, Softmax(beta), [context.input(operator, 0).name])
    lookup.check_fixed_output(context, output, lookup.SIGMOID_OUTPUT)

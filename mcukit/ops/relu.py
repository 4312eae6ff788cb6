# SPDX-License-Identifier: Apache-2.0
"""ReLU, ReLU6 and any other clip as an operator of its own.

Where TFLite can fuse them into the operator before, a pass has done so.
"""

from __future__ import annotations

__all__ = ["Clip"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops import lookup
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, Clamp
from mcukit.ops.maps import quantization_of
from mcukit.ops.operator import onnx_operator, tflite_operator
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext


@dataclass(frozen=True)
class Clip(lookup.UnaryOperator):
    """Input: map. Its values are converted to the output's quantization, then limited.

    TFLite Micro's own RELU6 forgets the conversion, and RELU_N1_TO_1 is unknown to it: to_tflite avoids both.
    """

    op_name = "clip"
    clamp: Clamp

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        low, high = self.clamp.integer_limits(target)
        return np.clip(lookup.rescale(source, target), low, high).astype(np.int8)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.clamped("Identity", [builder.value(inputs[0])], output, self.clamp)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        source, target = quantization_of(inputs[0]), quantization_of(output)
        operand, result = builder.tensor(inputs[0]), builder.tensor(output)
        if self.clamp == RELU:
            builder.operator(BuiltinOperator.RELU, None, [operand], [result])
        elif self.clamp == RELU6 and source.same_as(target):
            builder.operator(BuiltinOperator.RELU6, None, [operand], [result])
        else:
            self._steps_to_tflite(builder, inputs[0], output)

    def _steps_to_tflite(self, builder: TfliteBuilder, source: Tensor, output: Tensor) -> None:
        """QUANTIZE, MAXIMUM and MINIMUM, as far as each of them changes anything; at least one of them."""
        target = quantization_of(output)
        low, high = self.clamp.integer_limits(target)
        limits = [(BuiltinOperator.MAXIMUM, low)] if low > target.minimum else []
        limits += [(BuiltinOperator.MINIMUM, high)] if high < target.maximum else []
        value = builder.tensor(source)
        if not limits:
            result = builder.tensor(output)
            builder.operator(BuiltinOperator.QUANTIZE, options.QuantizeOptions(), [value], [result])
        elif not quantization_of(source).same_as(target):
            converted = builder.temporary(f"{output.name}/converted", output.shape, target)
            builder.operator(BuiltinOperator.QUANTIZE, options.QuantizeOptions(), [value], [converted])
            value = converted
        for builtin, limit in limits:
            constant = builder.constant_int8(np.array([limit], np.int8), (1,), target)
            if (builtin, limit) == limits[-1]:
                result = builder.tensor(output)
            else:
                result = builder.temporary(f"{output.name}/limited", output.shape, target)
            builder.operator(builtin, options.MaximumMinimumOptions(), [value, constant], [result])
            value = result


@onnx_operator("Relu")
def import_onnx_relu(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.unary(node, Clip(RELU))


@onnx_operator("Clip")
def import_onnx_clip(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    low, high = _onnx_limit(context, node, 1, -math.inf), _onnx_limit(context, node, 2, math.inf)
    if low == math.inf or high == -math.inf:
        context.invalid("its limits leave no finite value")
    # The standard: where the limits cross, the upper one wins.
    context.unary(node, Clip(Clamp(min(low, high), high)))


def _onnx_limit(context: OnnxContext, node: OnnxNode, index: int, default: float) -> float:
    """A limit of an ONNX Clip; infinite where it is as large as float32 allows."""
    if not node.has_input(index):
        return default
    values = context.constant(node.inputs[index])
    if values.size != 1:
        context.invalid(f"its input {index} has {values.size} elements, a limit has one")
    limit = float(values.reshape(-1)[0])
    if math.isnan(limit):
        context.invalid(f"its input {index}, a limit, is not a number")
    return math.copysign(math.inf, limit) if abs(limit) >= float(np.finfo(np.float32).max) else limit


@tflite_operator(BuiltinOperator.RELU)
def import_tflite_relu(context: TfliteContext, operator: schema.Operator) -> None:
    context.add(operator, Clip(RELU), [context.input(operator, 0).name])


@tflite_operator(BuiltinOperator.RELU6)
def import_tflite_relu6(context: TfliteContext, operator: schema.Operator) -> None:
    context.add(operator, Clip(RELU6), [context.input(operator, 0).name])


@tflite_operator(BuiltinOperator.RELU_N1_TO_1)
def import_tflite_relu_n1_to_1(context: TfliteContext, operator: schema.Operator) -> None:
    context.add(operator, Clip(RELU_N1_TO_1), [context.input(operator, 0).name])

# SPDX-License-Identifier: Apache-2.0
"""x * min(max(x + 3, 0), 6) / 6, in the 16-bit fixed point of TFLite Micro's HARD_SWISH."""

from __future__ import annotations

__all__ = ["HardSwish"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops import lookup
from mcukit.ops.operator import onnx_operator, tflite_operator
from mcukit.quantized.arithmetic import quantize_multiplier
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int64Array = npt.NDArray[np.int64]

_HIGH_BITS = 7
"""Inputs are shifted left by this, so that they fill 16 bits."""


@dataclass(frozen=True)
class HardSwish(lookup.UnaryOperator):
    """Input: map."""

    op_name = "hard_swish"

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        fine_scale = source.tensor_scale / (1 << _HIGH_BITS)
        gain, gain_exponent = _multiplier16(fine_scale / target.tensor_scale)
        if gain_exponent > 0:
            raise McukitError(
                "unsupported-quantization",
                f"HARD_SWISH can't go from scale {source.tensor_scale:g} to {target.tensor_scale:g}",
                hint="calibrate with data that reach more of the network's range",
            )
        fine = (lookup.INPUTS - source.zero_point) << _HIGH_BITS
        product = _gate(fine, fine_scale) * _high_multiply(fine, gain)
        truncated = np.sign(product) * (np.abs(product) >> 15)
        shifted = _rounding_shift(truncated, -gain_exponent) + target.zero_point
        return np.clip(_wrap(shifted), target.minimum, target.maximum).astype(np.int8)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.add("HardSwish", [builder.value(inputs[0])], [builder.value(output)])

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.HARD_SWISH, options.HardSwishOptions(), operands, results)


def _gate(fine: Int64Array, fine_scale: float) -> Int64Array:
    """min(max(x + 3, 0), 6) / 6 with 15 fraction bits."""
    multiplier, exponent = _multiplier16(fine_scale / (3 / 32768))
    value = fine
    if exponent > 0:
        value = _saturate(value << (exponent - 1))
    value = _high_multiply(value, multiplier)
    if exponent > 0:
        value = _saturate(value << 1)
    if exponent < 0:
        value = _rounding_shift(value, -exponent)
    return (value + (1 << 15)) >> 1


def _multiplier16(factor: float) -> tuple[int, int]:
    """(multiplier, exponent) with factor ~= multiplier * 2^(exponent - 15)."""
    multiplier, exponent = quantize_multiplier(factor)
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), exponent


def _high_multiply(values: Int64Array, multiplier: int) -> Int64Array:
    """round(values * multiplier / 2^15), ties up."""
    return (values * multiplier + (1 << 14)) >> 15


def _rounding_shift(values: Int64Array, exponent: int) -> Int64Array:
    """values / 2^exponent, ties away from zero; TFLM's mask has 16 bits: from exponent 16 on it is -1."""
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    threshold = (mask >> 1) + (values < 0)
    return (values >> exponent) + ((values & mask) > threshold)


def _saturate(values: Int64Array) -> Int64Array:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)


def _wrap(values: Int64Array) -> Int64Array:
    return values.astype(np.int16).astype(np.int64)


@onnx_operator("HardSwish")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    context.unary(node, HardSwish())


@tflite_operator(BuiltinOperator.HARD_SWISH)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    context.add(operator, HardSwish(), [context.input(operator, 0).name])

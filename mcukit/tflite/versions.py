# SPDX-License-Identifier: Apache-2.0
"""The versions of operators: an interpreter refuses an operator whose version says more than it can do."""

from __future__ import annotations

__all__ = ["INT8_VERSIONS", "int8_code"]

from collections.abc import Mapping

from mcukit.errors import McukitError
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.schema import OperatorCode

INT8_VERSIONS: Mapping[BuiltinOperator, int] = {
    BuiltinOperator.ADD: 2,
    BuiltinOperator.AVERAGE_POOL_2D: 2,
    BuiltinOperator.CONCATENATION: 2,
    BuiltinOperator.CONV_2D: 3,
    BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    BuiltinOperator.DEQUANTIZE: 2,
    BuiltinOperator.EXPAND_DIMS: 1,
    BuiltinOperator.FULLY_CONNECTED: 4,
    BuiltinOperator.HARD_SWISH: 1,
    BuiltinOperator.LEAKY_RELU: 2,
    BuiltinOperator.LOGISTIC: 2,
    BuiltinOperator.MAXIMUM: 2,
    BuiltinOperator.MAX_POOL_2D: 2,
    BuiltinOperator.MEAN: 2,
    BuiltinOperator.MINIMUM: 2,
    BuiltinOperator.MUL: 2,
    BuiltinOperator.PAD: 2,
    BuiltinOperator.PADV2: 2,
    BuiltinOperator.QUANTIZE: 2,
    BuiltinOperator.RELU: 2,
    BuiltinOperator.RELU6: 2,
    BuiltinOperator.RELU_N1_TO_1: 1,
    BuiltinOperator.RESHAPE: 1,
    BuiltinOperator.RESIZE_BILINEAR: 2,
    BuiltinOperator.RESIZE_NEAREST_NEIGHBOR: 2,
    BuiltinOperator.SLICE: 2,
    BuiltinOperator.SOFTMAX: 2,
    BuiltinOperator.SPLIT: 2,
    BuiltinOperator.SQUEEZE: 1,
    BuiltinOperator.STRIDED_SLICE: 2,
    BuiltinOperator.SUB: 2,
    BuiltinOperator.TANH: 2,
    BuiltinOperator.TRANSPOSE: 2,
}
"""The least version of each operator that covers int8 tensors (int8 to int8 for QUANTIZE)."""


def int8_code(builtin: BuiltinOperator, *, per_channel_fully_connected: bool = False) -> OperatorCode:
    """The code of an operator on int8 tensors, with the least version that covers it.

    per_channel_fully_connected: whether a FULLY_CONNECTED operator has a weight scale per output channel.

    Raises McukitError "unsupported-operator" for an operator that isn't in INT8_VERSIONS.
    """
    if builtin not in INT8_VERSIONS:
        raise McukitError("unsupported-operator", f"mcukit doesn't write {builtin.name} on int8 tensors")
    if builtin is BuiltinOperator.FULLY_CONNECTED and per_channel_fully_connected:
        return OperatorCode(builtin, _PER_CHANNEL_FULLY_CONNECTED)
    return OperatorCode(builtin, INT8_VERSIONS[builtin])


_PER_CHANNEL_FULLY_CONNECTED = 12

# SPDX-License-Identifier: Apache-2.0
"""C++ for TensorFlow Lite Micro: the model as an aligned array, and a resolver with just the operators it uses."""

from __future__ import annotations

__all__ = ["tflm_files"]

from collections.abc import Iterable

import mcukit
from mcukit.errors import McukitError
from mcukit.export.rendering import templates
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.schema import Model

_BYTES_PER_LINE = 16

# MicroMutableOpResolver's methods, named as TFLM names them.
_RESOLVER_METHODS = {
    BuiltinOperator.ADD: "AddAdd",
    BuiltinOperator.AVERAGE_POOL_2D: "AddAveragePool2D",
    BuiltinOperator.CONCATENATION: "AddConcatenation",
    BuiltinOperator.CONV_2D: "AddConv2D",
    BuiltinOperator.DEPTHWISE_CONV_2D: "AddDepthwiseConv2D",
    BuiltinOperator.DEQUANTIZE: "AddDequantize",
    BuiltinOperator.EXPAND_DIMS: "AddExpandDims",
    BuiltinOperator.FULLY_CONNECTED: "AddFullyConnected",
    BuiltinOperator.HARD_SWISH: "AddHardSwish",
    BuiltinOperator.LEAKY_RELU: "AddLeakyRelu",
    BuiltinOperator.LOGISTIC: "AddLogistic",
    BuiltinOperator.MAXIMUM: "AddMaximum",
    BuiltinOperator.MAX_POOL_2D: "AddMaxPool2D",
    BuiltinOperator.MEAN: "AddMean",
    BuiltinOperator.MINIMUM: "AddMinimum",
    BuiltinOperator.MUL: "AddMul",
    BuiltinOperator.PAD: "AddPad",
    BuiltinOperator.PADV2: "AddPadV2",
    BuiltinOperator.QUANTIZE: "AddQuantize",
    BuiltinOperator.RELU: "AddRelu",
    BuiltinOperator.RELU6: "AddRelu6",
    BuiltinOperator.RESHAPE: "AddReshape",
    BuiltinOperator.RESIZE_NEAREST_NEIGHBOR: "AddResizeNearestNeighbor",
    BuiltinOperator.SLICE: "AddSlice",
    BuiltinOperator.SOFTMAX: "AddSoftmax",
    BuiltinOperator.SQUEEZE: "AddSqueeze",
    BuiltinOperator.STRIDED_SLICE: "AddStridedSlice",
    BuiltinOperator.SUB: "AddSub",
    BuiltinOperator.TANH: "AddTanh",
    BuiltinOperator.TRANSPOSE: "AddTranspose",
}


def tflm_files(name: str, model: Model, data: bytes, arena_bytes: int | None) -> dict[str, str]:
    """NAME_model_data.h, NAME_model_data.cc and NAME_op_resolver.h.

    data: the .tflite file. arena_bytes: what TFLM's interpreter needs, None if that was not measured.
    """
    operators = [_method(code.builtin) for code in model.operator_codes]
    context = {
        "banner": f"Written by mcukit {mcukit.__version__}. Do not edit: quantize the model again instead.",
        "name": name,
        "macro": name.upper(),
        "length": len(data),
        "bytes": "\n".join(_lines(data)),
        "methods": sorted(set(operators)),
        "arena_bytes": arena_bytes,
    }
    return {
        f"{name}_{part}": templates().get_template(f"{part}.j2").render(context)
        for part in ("model_data.h", "model_data.cc", "op_resolver.h")
    }


def _method(builtin: BuiltinOperator) -> str:
    if builtin not in _RESOLVER_METHODS:
        raise McukitError("unsupported-operator", f"TensorFlow Lite Micro's resolver has no {builtin.name}")
    return _RESOLVER_METHODS[builtin]


def _lines(data: bytes) -> Iterable[str]:
    for start in range(0, len(data), _BYTES_PER_LINE):
        yield f"    0x{data[start : start + _BYTES_PER_LINE].hex('|').replace('|', ', 0x')},"

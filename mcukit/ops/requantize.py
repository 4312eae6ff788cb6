# SPDX-License-Identifier: Apache-2.0
"""The same real values under another scale and zero point: TFLite's QUANTIZE from int8 to int8."""

from __future__ import annotations

__all__ = ["Requantize"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops import lookup
from mcukit.ops.operator import tflite_operator
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.tflite import TfliteContext


@dataclass(frozen=True)
class Requantize(lookup.UnaryOperator):
    """Input: map. The output has the quantization that its tensor says."""

    op_name = "requantize"

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        return np.clip(lookup.rescale(source, target), target.minimum, target.maximum).astype(np.int8)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.add("Identity", [builder.value(inputs[0])], [builder.value(output)])

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.QUANTIZE, options.QuantizeOptions(), operands, results)


@tflite_operator(BuiltinOperator.QUANTIZE)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    source = context.input(operator, 0)
    output = context.add(operator, Requantize(), [source.name])
    if source.quantization is None or output.quantization is None:
        context.unsupported("it converts other types than int8 to int8", "convert the model with int8 inputs")

# SPDX-License-Identifier: Apache-2.0
"""min(max(alpha * x + beta, 0), 1), computed by requantization alone."""

from __future__ import annotations

__all__ = ["HardSigmoid"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops import lookup
from mcukit.ops.operator import onnx_operator
from mcukit.tflite import options
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode


@dataclass(frozen=True)
class HardSigmoid(lookup.UnaryOperator):
    """Input: map. The output's scale is 1/256, its zero point -128.

    alpha: positive. beta: from 0 to 255/256, in integers rounded to a multiple of 1/256. Both are float32.
    """

    op_name = "hard_sigmoid"
    alpha: float
    beta: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", float(np.float32(self.alpha)))
        object.__setattr__(self, "beta", float(np.float32(self.beta)))

    def fixed_output(self, inputs: Sequence[Tensor]) -> Quantization:
        return lookup.SIGMOID_OUTPUT

    def output_limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def argument(self) -> Quantization:
        """The quantization under which x has the bytes that the output has under 1/256 and -128."""
        return Quantization.per_tensor(1 / (256 * self.alpha), math.floor(256 * self.beta + 0.5) - 128)

    def table(self, source: Quantization, target: Quantization) -> npt.NDArray[np.int8]:
        lookup.require_fixed(target, lookup.SIGMOID_OUTPUT)
        return np.clip(lookup.rescale(source, self.argument), -128, 127).astype(np.int8)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.value(inputs[0])], [builder.value(output)]
        builder.add("HardSigmoid", operands, results, alpha=self.alpha, beta=self.beta)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        argument = builder.temporary(f"{output.name}/argument", output.shape, self.argument)
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.QUANTIZE, options.QuantizeOptions(), operands, [argument])
        operands = [argument, builder.constant_int32(np.array(output.shape, np.int32))]
        builder.operator(BuiltinOperator.RESHAPE, options.ReshapeOptions(output.shape), operands, results)


@onnx_operator("HardSigmoid")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("alpha", "beta")
    alpha, beta = node.real("alpha", 0.2), node.real("beta", 0.5)
    # Written so that a value that is not a number is refused too.
    if not (2.0**-20 <= alpha <= 2.0**20 and 0 <= beta < 255.5 / 256):
        context.unsupported(
            f"a HardSigmoid with alpha {alpha:g} and beta {beta:g}",
            "use a positive alpha and a beta from 0 to 0.99",
        )
    context.unary(node, HardSigmoid(alpha, beta))

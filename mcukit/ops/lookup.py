# SPDX-License-Identifier: Apache-2.0
"""What operators on single values share: a table of all 256 outputs.

Kernel: firmware/mcukit_nn/src/mk_lookup_s8.c.
"""

from __future__ import annotations

__all__ = [
    "INPUTS",
    "SIGMOID_OUTPUT",
    "TANH_OUTPUT",
    "LookupInt8",
    "UnaryOperator",
    "check_fixed_output",
    "require_fixed",
    "rescale",
    "sigmoidal_table",
]

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Shape, Tensor
from mcukit.ops.maps import quantization_of
from mcukit.ops.operator import Operator
from mcukit.quantized.arithmetic import quantize_multiplier, requantize
from mcukit.quantized.integer import ConstantArray, Field, IntegerOperator, Kernel, MapForm

if TYPE_CHECKING:
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]

INPUTS: Int64Array = np.arange(-128, 128, dtype=np.int64)
"""Every input byte, in the order of a table."""
INPUTS.flags.writeable = False

SIGMOID_OUTPUT = Quantization.per_tensor(1 / 256, -128)
"""What TFLite prescribes for values from 0 to 1."""

TANH_OUTPUT = Quantization.per_tensor(1 / 128, 0)
"""What TFLite prescribes for values from -1 to 1."""

_LARGEST_LEFT_SHIFT = 22
"""A difference of two bytes, shifted left by this, still fits 32 bits."""

_ARGUMENT_INTEGER_BITS = 4
"""LOGISTIC and TANH know arguments between -16 and 16."""


@dataclass(frozen=True)
class UnaryOperator(Operator):
    """An operator that computes each output value from one input value."""

    @abstractmethod
    def table(self, source: Quantization, target: Quantization) -> Int8Array:
        """The outputs for `INPUTS`. Raises McukitError for quantizations that TFLite Micro refuses."""

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        return inputs[0].shape

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        return LookupInt8(self.table(quantization_of(inputs[0]), quantization_of(output)))


@dataclass(frozen=True, eq=False)
class LookupInt8(IntegerOperator):
    """values: 256 outputs, that of input x at x + 128."""

    values: Int8Array

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        return self.values[inputs[0].astype(np.int16) + 128]

    def kernel(self) -> Kernel:
        table = ConstantArray("table", "int8_t", self.values, "[input + 128]")
        return Kernel("mk_lookup_s8", (Field("table", table),), in_place=(0,))

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_lookup_packed", scratch_bytes=output.channels)


def rescale(source: Quantization, target: Quantization) -> Int64Array:
    """`INPUTS` under another quantization, as TFLite's QUANTIZE computes it but before it saturates."""
    multiplier, shift = quantize_multiplier(source.tensor_scale / target.tensor_scale)
    if shift > _LARGEST_LEFT_SHIFT:
        raise McukitError(
            "unsupported-quantization",
            f"scale {source.tensor_scale:g} can't be converted to {target.tensor_scale:g} in 32 bits",
            hint="calibrate with data that reach more of the network's range",
        )
    return requantize(INPUTS - source.zero_point, multiplier, shift) + target.zero_point


def sigmoidal_table(source: Quantization, function: Callable[[Int64Array, int], Int64Array]) -> Int8Array:
    """The table of a function that saturates at both ends, as TFLM's LOGISTIC and TANH compute it.

    function: of int32 fixed point (raw values, number of integer bits), gives output integers.
    """
    fraction, shift = math.frexp(source.tensor_scale * (1 << (31 - _ARGUMENT_INTEGER_BITS)))
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    largest = ((1 << _ARGUMENT_INTEGER_BITS) - 1) << (31 - _ARGUMENT_INTEGER_BITS)
    radius = math.floor(math.ldexp(largest, -shift))
    values = INPUTS - source.zero_point
    inside = np.abs(values) < radius
    arguments = requantize(np.where(inside, values, 0), multiplier, shift)
    # With a radius of 0 both ends claim the value 0; TFLM asks for the lower one first.
    outside = np.where(values <= -radius, -128, 127)
    result = np.where(inside, function(arguments, _ARGUMENT_INTEGER_BITS), outside)
    return np.clip(result, -128, 127).astype(np.int8)


def require_fixed(target: Quantization, expected: Quantization) -> None:
    """Raises ValueError where a prescribed output quantization was replaced."""
    if not target.same_as(expected):
        raise ValueError(f"the output's quantization has to be {expected}")


def check_fixed_output(context: TfliteContext, output: Tensor, expected: Quantization) -> None:
    """Refuses an int8 file in which an operator's output hasn't the quantization that TFLite prescribes."""
    found = output.quantization
    if found is not None and not found.same_as(expected):
        context.invalid(
            f"the output's scale and zero point are {found.tensor_scale:g} and {found.zero_point}, "
            f"TFLite prescribes {expected.tensor_scale:g} and {expected.zero_point}"
        )

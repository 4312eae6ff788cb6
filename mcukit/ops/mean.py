# SPDX-License-Identifier: Apache-2.0
"""The mean over height and width, requantized.

Kernel: firmware/mcukit_nn/src/mk_mean_s8.c, mk_mean_s8_dsp.c.

It comes from int8 TFLite files, whose MEAN may change scale and zero point. Float networks have AveragePool
instead, which leaves the quantization alone.
"""

from __future__ import annotations

__all__ = ["Mean", "MeanInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Node, Shape, Tensor, map_shape
from mcukit.ops import pooling
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.maps import quantization_of
from mcukit.ops.operator import Operator, tflite_operator
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.quantized.arithmetic import quantize_multiplier, requantize
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]

_DSP_SUM = 1 << 30
"""DSP kernels scale sums below this."""


@dataclass(frozen=True)
class Mean(Operator):
    """Input: map of rank 4. Output: (1, 1, 1, channels), or (1, channels) without keep_dims."""

    op_name = "mean"
    keep_dims: bool = True

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        channels = inputs[0].shape[3]
        return (1, 1, 1, channels) if self.keep_dims else (1, channels)

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        return 0, map_shape(inputs[0].shape)[axis]

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.value(inputs[0])], [builder.value(output)]
        builder.add("ReduceMean", operands, results, axes=[2, 3], keepdims=int(self.keep_dims))

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        source, target = quantization_of(inputs[0]), quantization_of(output)
        height, width, channels = map_shape(inputs[0].shape)
        multiplier, shift = quantize_multiplier(source.tensor_scale / target.tensor_scale)
        multiplier, shift = _divide(multiplier, shift, height * width)
        return MeanInt8(
            height * width,
            channels,
            multiplier,
            shift,
            source.zero_point,
            target.zero_point,
            target.minimum,
            target.maximum,
        )

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands = [builder.tensor(inputs[0]), builder.constant_int32(np.array([1, 2], np.int32))]
        attributes = options.ReducerOptions(keep_dims=self.keep_dims)
        builder.operator(BuiltinOperator.MEAN, attributes, operands, [builder.tensor(output)])


def _divide(multiplier: int, shift: int, count: int) -> tuple[int, int]:
    """The factor multiplier * 2^(shift - 31) over `count`, truncated where TFLite truncates it."""
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


@dataclass(frozen=True, eq=False)
class MeanInt8(IntegerOperator):
    """pixels: how many are averaged; multiplier and shift divide by their number already."""

    pixels: int
    channels: int
    multiplier: int
    shift: int
    input_zero_point: int
    output_zero_point: int
    minimum: int
    maximum: int

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        sums = inputs[0].sum(axis=(1, 2), keepdims=True, dtype=np.int64) - self.input_zero_point * self.pixels
        scaled = requantize(sums, self.multiplier, self.shift) + self.output_zero_point
        return np.clip(scaled, self.minimum, self.maximum).astype(np.int8)

    def largest_accumulator(self) -> int:
        centred = max(127 - self.input_zero_point, self.input_zero_point + 128)
        return (centred * self.pixels) << max(self.shift, 0)

    def kernel(self) -> Kernel:
        return Kernel(
            "mk_mean_s8",
            (
                Field("offset", -self.input_zero_point * self.pixels),
                Field("multiplier", self.multiplier),
                Field("shift", self.shift),
                Field("output_zero_point", self.output_zero_point),
                Field("minimum", self.minimum),
                Field("maximum", self.maximum),
            ),
            scratch_bytes=4 * self.channels,
        )

    def dsp_kernel(self) -> Kernel:
        suits = self._suits_dsp and pooling.sums_suit_dsp(MapForm(1, 1, self.channels))
        return replace(self.kernel(), function="mk_mean_s8_dsp" if suits else "mk_mean_s8")

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_mean_packed")

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        suits = self._suits_dsp and pooling.sums_suit_dsp(inputs[0])
        return replace(self.kernel(), function="mk_mean_packed_dsp" if suits else "mk_mean_packed")

    @property
    def _suits_dsp(self) -> bool:
        return self.largest_accumulator() < _DSP_SUM


@tflite_operator(BuiltinOperator.MEAN)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.ReducerOptions)
    source = context.input(operator, 0)
    axes = context.integers_input(operator, 1).reshape(-1)
    spatial = {int(axis) + 4 if axis < 0 else int(axis) for axis in axes}
    if len(source.shape) != 4 or spatial != {1, 2}:
        context.unsupported(
            f"the mean of an input of shape {source.shape} over the axes {axes.tolist()}",
            "only the mean over height and width (axes 1 and 2) is supported",
        )
    if context.is_quantized:
        context.add(operator, Mean(attributes.keep_dims), [source.name])
        return
    pool = AveragePool(Window((source.shape[1], source.shape[2])))
    if attributes.keep_dims:
        context.add(operator, pool, [source.name])
        return
    name = f"{context.name_of(operator.outputs[0])}/pooled"
    context.tensors[name] = Tensor(name, (1, 1, 1, source.shape[3]))
    context.nodes.append(Node(name, pool, (source.name,), name))
    context.add(operator, Reshape((1, source.shape[3])), [name])

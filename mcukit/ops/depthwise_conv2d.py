# SPDX-License-Identifier: Apache-2.0
"""Convolution of each channel with filters of its own.

Kernels: firmware/mcukit_nn/src/mk_depthwise_conv2d_s8.c, mk_depthwise_conv2d_s8_dsp.c,
mk_depthwise_conv2d_any_s8_dsp.c, mk_depthwise_conv2d_s8_mve.c, mk_depthwise_conv2d_packed.c,
mk_depthwise_conv2d_packed_dsp.c, mk_depthwise_conv2d_any_packed_dsp.c.
"""

from __future__ import annotations

__all__ = [
    "DepthwiseConv2d",
    "DepthwiseConv2dInt8",
    "any_dsp_columns",
    "dsp_columns",
    "dsp_finishes_fast",
    "dsp_rows",
    "unpacked_weight_bytes",
]

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops import filters
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.operator import Operator, tflite_operator
from mcukit.ops.window import Window
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.quantized.weight_packing import weight_array, whole_words
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.tflite import TfliteContext


_SUMMED_TOGETHER = 1 << 15

_DSP_COLUMNS = 64
"""MK_DEPTHWISE_DSP_COLUMNS"""

_DSP_LARGEST_STRIDE = 2

_RECORD_BYTES = 48
"""Of two columns of four channels, expanded."""

_FIELD_BYTES = 16
"""Of two outputs of four channels of 4 or 2 bits before they are packed."""

_DSP_SHIFT = 10
"""MK_DEPTHWISE_FAST_SHIFT"""

_DSP_LEAST_SCALE = 2
"""Bits by which weights are scaled for it at least, where they are; scaled weights have no more than 16."""

_LARGEST_STORED = 136
"""The farthest from zero that an input of 8 bits is, and 8 more: the biases of packed kernels hold as much in addition,
because they take 4-bit values for from 0 on."""

_DSP_ROWS = ((8, 8), (12, 4), (24, 3))
"""MK_DEPTHWISE_DSP_ROWS: the widest maps of which DSP kernels for 3x3 windows compute so many rows together."""

_UNPACKED_CHANNELS = 256
"""The most channels for which packed DSP kernels unpack weights of 4 or 2 bits once a call."""

_PAIR_BYTES = 16
"""Of two rows of a column of four channels, expanded."""

_ANY_DSP_COLUMNS = 32
"""MK_DEPTHWISE_ANY_DSP_COLUMNS"""


_MVE_RECORD_BYTES = 304
"""Of 16 channels, beside their weights."""


def dsp_columns(columns: int, stride: int) -> int:
    """How many outputs of a row of `columns` the DSP kernel for 3x3 windows computes together."""
    return min(columns, _DSP_COLUMNS // stride)


def dsp_rows(width: int) -> int:
    """How many rows of an output of that width it computes together."""
    return next((rows for widest, rows in _DSP_ROWS if width <= widest), 1)


def dsp_finishes_fast(arithmetic: filters.FilterArithmetic) -> npt.NDArray[np.bool_]:
    """For each channel, whether it scales weights so that a sum is finished by a multiplication and a saturation."""
    scale = _DSP_SHIFT + 1 + arithmetic.shift
    fits: npt.NDArray[np.bool_] = (scale >= _DSP_LEAST_SCALE) & (scale <= 16 - arithmetic.weight_bits)
    fits &= arithmetic.multiplier != 0
    return fits & ((arithmetic.shift >= 0) | (arithmetic.minimum >= arithmetic.output_zero_point))


def any_dsp_columns(columns: int, stride: int) -> int:
    """The same of the DSP kernel for any windows."""
    return min(columns, max(_ANY_DSP_COLUMNS // stride, 4))


def unpacked_weight_bytes(channels: int, bits: int) -> int:
    """Scratch memory for weights of 3x3 windows that the packed DSP kernel unpacks once a call; 0 if it does not.

    bits: of the weights. MK_DEPTHWISE_PACKED_DSP_WEIGHTS.
    """
    filled = whole_words(channels, bits)
    return 9 * filled if bits != 8 and filled <= _UNPACKED_CHANNELS else 0


@dataclass(frozen=True)
class DepthwiseConv2d(Operator):
    """Inputs: map, weights (1, rows, columns, output channels), bias (output channels).

    Output channel c reads input channel c // multiplier, where multiplier = output channels / input channels.
    """

    op_name = "depthwise_conv2d"
    has_weights = True
    window: Window
    clamp: Clamp = UNBOUNDED

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        return filters.output_shape(self.window, inputs[0], inputs[1].shape[3])

    def macs(self, inputs: Sequence[Tensor], output: Tensor) -> int:
        return output.elements * self.window.kernel[0] * self.window.kernel[1]

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        return self.window.input_range(first, last, map_shape(inputs[0].shape)[axis], axis)

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def quantize_constants(self, inputs: Sequence[Tensor], weight_bits: int = 8) -> tuple[Tensor, ...]:
        return (inputs[0], *filters.quantize_filter(inputs[0], inputs[1], inputs[2], axis=3, bits=weight_bits))

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        weights = np.asarray(inputs[1].data).transpose(3, 0, 1, 2)
        filters.conv_to_onnx(builder, self.window, self.clamp, inputs, weights, output, groups=inputs[0].shape[3])

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        arithmetic = filters.FilterArithmetic.derive(inputs, output, self.clamp, axis=3)
        return DepthwiseConv2dInt8(self.window, inputs[0].shape[3], map_shape(output.shape), arithmetic)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        source, padding = filters.padded_input(builder, self.window, inputs[0], output)
        attributes = options.DepthwiseConv2DOptions(
            padding=padding,
            stride_w=self.window.stride[1],
            stride_h=self.window.stride[0],
            depth_multiplier=output.shape[3] // inputs[0].shape[3],
            activation=builder.activation(self.clamp),
            dilation_w=self.window.dilation[1],
            dilation_h=self.window.dilation[0],
        )
        operands = [source, builder.tensor(inputs[1]), builder.tensor(inputs[2])]
        builder.operator(BuiltinOperator.DEPTHWISE_CONV_2D, attributes, operands, [builder.tensor(output)])


@dataclass(frozen=True, eq=False)
class DepthwiseConv2dInt8(IntegerOperator):
    """output_map: (height, width, channels) of the output."""

    window: Window
    input_channels: int
    output_map: tuple[int, int, int]
    arithmetic: filters.FilterArithmetic

    def evaluate(self, inputs: Sequence[npt.NDArray[np.int8]]) -> npt.NDArray[np.int8]:
        weights = self.arithmetic.weights
        padded = filters.pad_map(inputs[0], self.window, self.arithmetic.input_zero_point)
        multiplier = weights.shape[3] // self.input_channels
        wide = np.repeat(padded, multiplier, axis=3).astype(np.int32)
        taps = [
            (filters.tap(wide, self.window, self.output_map, row, column), weights[0, row, column].astype(np.int32))
            for row in range(self.window.kernel[0])
            for column in range(self.window.kernel[1])
        ]
        accumulators = np.zeros((padded.shape[0], *self.output_map), np.int32)
        # Some rows at a time, so that they stay in the processor's cache over all taps.
        step = max(1, _SUMMED_TOGETHER // accumulators[0, 0].size)
        product = np.empty((step, *self.output_map[1:]), np.int32)
        for image, first in itertools.product(range(len(accumulators)), range(0, self.output_map[0], step)):
            sums = accumulators[image, first : first + step]
            for values, factors in taps:
                sums += np.multiply(values[image, first : first + step], factors, out=product[: len(sums)])
        return self.arithmetic.finish(accumulators)

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        output_map = (output.rows, output.columns, self.output_map[2])
        return replace(self, window=self.window.crop(output, inputs[0]), output_map=output_map)

    @property
    def weight_bits(self) -> int:
        return self.arithmetic.weight_bits

    def largest_accumulator(self) -> int:
        return self.arithmetic.largest_accumulator(reduce_axes=(0, 1, 2))

    def kernel(self) -> Kernel:
        return Kernel(
            "mk_depthwise_conv2d_s8",
            (
                *self.arithmetic.fields("[row][column][output channel]"),
                *filters.window_fields(self.window),
                Field("channel_multiplier", self.output_map[2] // self.input_channels),
            ),
            scratch_bytes=4 * self.output_map[2],
        )

    def dsp_kernel(self) -> Kernel:
        portable = self.kernel()
        if self.output_map[2] != self.input_channels:
            return portable
        if self._has_records:
            function, scratch, rows = "mk_depthwise_conv2d_s8_dsp", self._record_bytes, dsp_rows(self.output_map[1])
        else:
            function, scratch, rows = "mk_depthwise_conv2d_any_s8_dsp", self._pair_bytes, 1
        # A core without DSP instructions calls the portable kernel.
        scratch = max(portable.scratch_bytes, scratch)
        return replace(portable, function=function, scratch_bytes=scratch, rows_together=rows)

    def mve_kernel(self) -> Kernel:
        # Sums of two products must fit 16 bits, which those of -128 with -128 don't.
        if self.output_map[2] != self.input_channels or int(self.arithmetic.weights.min(initial=0)) == -128:
            return self.dsp_kernel()
        rows, columns = self.window.kernel
        scratch = _MVE_RECORD_BYTES + 4 * rows + 16 * rows * columns
        return replace(self.kernel(), function="mk_depthwise_conv2d_s8_mve", scratch_bytes=scratch)

    @property
    def _has_records(self) -> bool:
        """Whether it is a usual 3x3 window, which DSP kernels compute from records of two columns each."""
        window = self.window
        is_usual = window.kernel == (3, 3) and window.stride[1] <= _DSP_LARGEST_STRIDE and window.dilation[1] == 1
        return is_usual and self._scaled_sums_fit

    @property
    def _scaled_sums_fit(self) -> bool:
        """Whether sums fit 32 bits where their weights are scaled so that all shifts to the right are one.

        The input's values are taken for as large as 8 bits hold, so that it does not matter how they are stored.
        """
        arithmetic = self.arithmetic
        weights = np.abs(arithmetic.weights.astype(np.int64)).sum(axis=(0, 1, 2))
        largest = np.abs(arithmetic.folded_bias) + _LARGEST_STORED * weights
        scale = np.where(dsp_finishes_fast(arithmetic), _DSP_SHIFT + 1 + arithmetic.shift, 0)
        return bool((largest << scale < 1 << 31).all())

    @property
    def _record_bytes(self) -> int:
        """Scratch memory for records: MK_DEPTHWISE_DSP_RECORDS."""
        stride = self.window.stride[1]
        return (-(-dsp_columns(self.output_map[1], stride) // 2) * stride + 1) * _RECORD_BYTES

    @property
    def _pair_bytes(self) -> int:
        """Scratch memory for pairs of rows, as mk_depthwise_conv2d_any_s8_dsp.h says."""
        window, stride = self.window, self.window.stride[1]
        rounded = -(-any_dsp_columns(self.output_map[1], stride) // 4) * 4
        paired = (rounded - 1) * stride + window.span(1)
        return -(-window.kernel[0] // 2) * (window.kernel[1] + paired) * _PAIR_BYTES

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        rows = self.arithmetic.weights.reshape(-1, output.channels)
        weights = weight_array(rows, self.weight_bits, "[row and column]")
        pointers = 8 * len(rows) + 4  # MK_DEPTHWISE_CONV2D_PACKED_POINTERS
        return Kernel(
            "mk_depthwise_conv2d_packed",
            (
                *self.arithmetic.packed_fields(weights, inputs[0].bits, axis=3),
                *filters.window_fields(self.window),
                Field("channel_multiplier", output.channels // self.input_channels),
            ),
            scratch_bytes=pointers + inputs[0].pixel_bytes + (0 if output.bits == 8 else output.channels),
        )

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        portable = self.packed_kernel(inputs, output)
        if self.output_map[2] != self.input_channels:
            return portable
        stride, together = self.window.stride[1], 1
        if self._has_records:
            function, scratch = "mk_depthwise_conv2d_packed_dsp", self._record_bytes
            together = dsp_rows(output.width)
            fields = -(-dsp_columns(output.width, stride) // 2) * _FIELD_BYTES
            scratch += unpacked_weight_bytes(output.channels, self.weight_bits)
        else:
            function, scratch = "mk_depthwise_conv2d_any_packed_dsp", self._pair_bytes
            fields = 4 * any_dsp_columns(output.width, stride)
        scratch += 0 if output.bits == 8 else fields
        # A core without DSP instructions calls the portable kernel.
        scratch = max(portable.scratch_bytes, scratch)
        return replace(portable, function=function, scratch_bytes=scratch, rows_together=together)


@tflite_operator(BuiltinOperator.DEPTHWISE_CONV_2D)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.DepthwiseConv2DOptions)
    source, weights = context.input(operator, 0), context.constant_input(operator, 1)
    filters.check_tflite_filter(context, weights, rank=4)
    if len(source.shape) != 4 or weights.shape[0] != 1 or weights.shape[3] % source.shape[3]:
        context.invalid(f"weights of shape {weights.shape} don't fit an input of shape {source.shape}")
    window = context.window(
        attributes.padding,
        source,
        kernel=(weights.shape[1], weights.shape[2]),
        stride=(attributes.stride_h, attributes.stride_w),
        dilation=(attributes.dilation_h, attributes.dilation_w),
    )
    bias = context.bias_input(operator, 2, channels=weights.shape[3], filter_index=1)
    clamp = context.clamp(attributes.activation)
    context.add(operator, DepthwiseConv2d(window, clamp), [source.name, weights.name, bias.name])

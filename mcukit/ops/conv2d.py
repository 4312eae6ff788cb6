# SPDX-License-Identifier: Apache-2.0
"""Convolution over rows and columns, with groups and dilation.

Kernels: firmware/mcukit_nn/src/mk_conv2d_s8.c, mk_conv2d_s8_dsp.c, mk_conv2d_s8_mve.c, mk_conv2d_packed.c,
mk_conv2d_packed_dsp.c.
"""

from __future__ import annotations

__all__ = ["Conv2d", "Conv2dInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops import filters
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.ops.window import Window
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.quantized.weight_packing import (
    filter_array,
    pack_filter_pairs,
    safe_sum_taps,
    taps_of_words,
    whole_words,
)
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

_MVE_PIXELS = 3
"""Pixels that the kernel for Helium computes at a time."""

_PAIR_SCRATCH = 2048
"""Packed kernels compute two pixels at a time, which is faster, where their scratch memory stays within this."""


@dataclass(frozen=True)
class Conv2d(Operator):
    """Inputs: map, weights (output channels, rows, columns, input channels / groups), bias (output channels)."""

    op_name = "conv2d"
    has_weights = True
    window: Window
    groups: int = 1
    clamp: Clamp = UNBOUNDED

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        return filters.output_shape(self.window, inputs[0], inputs[1].shape[0])

    def macs(self, inputs: Sequence[Tensor], output: Tensor) -> int:
        return output.elements * inputs[1].elements // inputs[1].shape[0]

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        return self.window.input_range(first, last, map_shape(inputs[0].shape)[axis], axis)

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def quantize_constants(self, inputs: Sequence[Tensor], weight_bits: int = 8) -> tuple[Tensor, ...]:
        return (inputs[0], *filters.quantize_filter(inputs[0], inputs[1], inputs[2], axis=0, bits=weight_bits))

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        weights = np.asarray(inputs[1].data).transpose(0, 3, 1, 2)
        filters.conv_to_onnx(builder, self.window, self.clamp, inputs, weights, output, groups=self.groups)

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        arithmetic = filters.FilterArithmetic.derive(inputs, output, self.clamp, axis=0)
        return Conv2dInt8(self.window, self.groups, map_shape(output.shape), arithmetic)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        source, padding = filters.padded_input(builder, self.window, inputs[0], output)
        attributes = options.Conv2DOptions(
            padding=padding,
            stride_w=self.window.stride[1],
            stride_h=self.window.stride[0],
            activation=builder.activation(self.clamp),
            dilation_w=self.window.dilation[1],
            dilation_h=self.window.dilation[0],
        )
        operands = [source, builder.tensor(inputs[1]), builder.tensor(inputs[2])]
        builder.operator(BuiltinOperator.CONV_2D, attributes, operands, [builder.tensor(output)])


@dataclass(frozen=True, eq=False)
class Conv2dInt8(IntegerOperator):
    """output_map: (height, width, channels) of the output."""

    window: Window
    groups: int
    output_map: tuple[int, int, int]
    arithmetic: filters.FilterArithmetic

    def evaluate(self, inputs: Sequence[npt.NDArray[np.int8]]) -> npt.NDArray[np.int8]:
        weights = self.arithmetic.weights
        depth, outputs = weights.shape[3], weights.shape[0] // self.groups
        padded = filters.pad_map(inputs[0], self.window, self.arithmetic.input_zero_point)
        patches = filters.patches(padded, self.window, self.output_map)
        exact = filters.exact_float(weights)
        sums = []
        for group in range(self.groups):
            columns: npt.NDArray[np.floating] = patches[..., group * depth : (group + 1) * depth].astype(exact)
            kernel: npt.NDArray[np.floating] = (
                weights[group * outputs : (group + 1) * outputs].reshape(outputs, -1).astype(exact)
            )
            product = columns.reshape(-1, kernel.shape[1]) @ kernel.T
            sums.append(product.reshape(*patches.shape[:3], outputs))
        return self.arithmetic.finish(sums[0] if self.groups == 1 else np.concatenate(sums, axis=3))

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        output_map = (output.rows, output.columns, self.output_map[2])
        return replace(self, window=self.window.crop(output, inputs[0]), output_map=output_map)

    @property
    def weight_bits(self) -> int:
        return self.arithmetic.weight_bits

    def largest_accumulator(self) -> int:
        return self.arithmetic.largest_accumulator(reduce_axes=(1, 2, 3))

    def kernel(self) -> Kernel:
        weights = self.arithmetic.weights
        taps = weights[0].size
        pairs = pack_filter_pairs(weights.reshape(-1, taps), self.groups)
        direct = self._reads_single_pixels and self.groups == 1
        fields = self.arithmetic.fields("[pair of output channels][four taps][8]", pairs)
        return self._call("mk_conv2d_s8", fields, 0 if direct else 2 * taps)

    def _call(self, function: str, fields: tuple[Field, ...], scratch_bytes: int) -> Kernel:
        return Kernel(
            function,
            (*fields, *filters.window_fields(self.window), Field("groups", self.groups)),
            scratch_bytes=scratch_bytes,
            takes_scratch=True,
        )

    def dsp_kernel(self) -> Kernel:
        rows, columns, depth = self.arithmetic.weights.shape[1:]
        segment = columns * depth
        copied = segment if segment % 4 == 0 or rows == 1 else rows * segment
        scratch = 6 * whole_words(rows * segment, 8) + (0 if self._reads_single_pixels else 3 * whole_words(copied, 8))
        return replace(self.kernel(), function="mk_conv2d_s8_dsp", scratch_bytes=scratch)

    def mve_kernel(self) -> Kernel:
        fields = self.arithmetic.fields("[output channel][row][column][input channel]")
        weights = self.arithmetic.weights
        scratch = 0 if self._reads_single_pixels else 4 * weights.shape[1] + _MVE_PIXELS * weights[0].size
        return self._call("mk_conv2d_s8_mve", fields, scratch)

    @property
    def _reads_single_pixels(self) -> bool:
        """Whether every window is one pixel that exists."""
        return self.window.kernel == (1, 1) and self.window.is_valid()

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return self._packed_kernel("mk_conv2d_packed", inputs, output, _PAIR_SCRATCH)

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        source = inputs[0].bits
        if self.weight_bits != 8 and not self._fits_shared_sums(source):
            return self.packed_kernel(inputs, output)
        scratch = self._packed_dsp_scratch(inputs[0], output)
        # A core without DSP instructions calls the portable kernel, which has to do with the same memory if it can.
        kernel = self._packed_kernel("mk_conv2d_packed_dsp", inputs, output, scratch)
        fields = kernel.fields
        if self.weight_bits == 2 or (self.weight_bits == 4 and source != 8):
            taps = safe_sum_taps(self._filters_of_taps, self.groups, self.weight_bits, source)
            fields = (*fields, Field("sum_taps", taps))
        return replace(kernel, fields=fields, scratch_bytes=max(kernel.scratch_bytes, scratch))

    def _fits_shared_sums(self, input_bits: int) -> bool:
        """Whether 32 bits hold what mk_conv2d_packed_dsp adds up of weights of 4 and 2 bits, with any inputs.

        It adds up two filters at a time, or, of 4 bits with inputs of 8, products that are 2^8 times as large and
        the surplus of weights as they are stored.
        """
        weights, bits = self._filters_of_taps.astype(np.int64), self.weight_bits
        largest = 128 if input_bits == 8 else (1 << input_bits) - 1
        if bits == 4 and input_bits == 8:
            sums = (weights + 8).sum(axis=1) + 8 * whole_words(weights.shape[1], 8)
            return largest * int(sums.max(initial=0)) < 1 << 23
        return largest * int(np.abs(weights).sum(axis=1).max(initial=0)) + 1 < 1 << (15 + bits)

    @property
    def _filters_of_taps(self) -> npt.NDArray[np.int8]:
        return self.arithmetic.weights.reshape(self.arithmetic.weights.shape[0], -1)

    def _packed_kernel(self, function: str, inputs: Sequence[MapForm], output: MapForm, pair_scratch: int) -> Kernel:
        """pair_scratch: the most bytes of scratch memory for which two pixels are computed at a time."""
        rows, bits = self._filters_of_taps, self.weight_bits
        taps = rows.shape[1]
        window_bytes = taps_of_words(taps, bits)
        if self._reads_single_pixels and self.groups == 1 and inputs[0].bits == 8 and taps == window_bytes:
            window_bytes = 0  # read where they lie
        pixel = window_bytes + (0 if output.bits == 8 else output.channels)
        pixels = 2 if output.width > 1 and 2 * pixel <= pair_scratch else 1
        packed = filter_array(rows, self.groups, bits, inputs[0].bits)
        return Kernel(
            function,
            (
                *self.arithmetic.packed_fields(packed, inputs[0].bits, axis=0),
                *filters.window_fields(self.window),
                Field("groups", self.groups),
                Field("pixels", pixels),
            ),
            scratch_bytes=pixels * pixel,
            takes_scratch=True,
        )

    def _packed_dsp_scratch(self, source: MapForm, output: MapForm) -> int:
        """As mk_conv2d_packed_dsp.h says, for itself alone."""
        rows, columns, depth = self.arithmetic.weights.shape[1:]
        in_bytes = depth * source.bits % 8 == 0
        segment = columns * depth * source.bits // 8 if in_bytes else columns * depth
        bytes_of_four = source.bits // 2 if in_bytes else 4
        copied = segment if segment % bytes_of_four == 0 or rows == 1 else rows * segment
        copies = 0 if self._reads_single_pixels and in_bytes else 3 * whole_words(copied, 8)
        half = 1 << (output.bits - 1)
        is_limited = self.arithmetic.minimum > -half or self.arithmetic.maximum < half - 1
        has_values = output.bits != 8 and (is_limited or output.channels // self.groups * output.bits % 8 != 0)
        values = whole_words(3 * output.channels, 8) if has_values else 0
        return 6 * taps_of_words(rows * columns * depth, self.weight_bits) + values + copies


@onnx_operator("Conv")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    source = context.nhwc(node.inputs[0])
    weights = context.constant(node.inputs[1])
    if weights.ndim != 4:
        context.unsupported(
            f"a convolution with {weights.ndim - 2} spatial dimensions", "only 2-D convolutions run on rows"
        )
    groups = node.integer("group", 1)
    window = context.window(node, source, (weights.shape[2], weights.shape[3]))
    filters.check_onnx_filter(context, source, weights, groups)
    bias = context.constant(node.inputs[2]) if node.has_input(2) else np.zeros(weights.shape[0], np.float32)
    if bias.shape != (weights.shape[0],):
        context.invalid(f"a bias of shape {bias.shape} given, the weights have {weights.shape[0]} output channels")
    depthwise = groups == source.shape[3] and weights.shape[1] == 1
    if depthwise:
        kernel = context.add_constant(node, "weights", weights.transpose(1, 2, 3, 0))
        operands = [source.name, kernel, context.add_constant(node, "bias", bias)]
        context.add_nhwc(node, DepthwiseConv2d(window), operands)
    else:
        kernel = context.add_constant(node, "weights", weights.transpose(0, 2, 3, 1))
        operands = [source.name, kernel, context.add_constant(node, "bias", bias)]
        context.add_nhwc(node, Conv2d(window, groups), operands)


@tflite_operator(BuiltinOperator.CONV_2D)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.Conv2DOptions)
    source, weights = context.input(operator, 0), context.constant_input(operator, 1)
    filters.check_tflite_filter(context, weights, rank=4)
    depth = source.shape[3] if len(source.shape) == 4 else 0
    if depth == 0 or depth % weights.shape[3] or weights.shape[0] % (depth // weights.shape[3]):
        context.invalid(f"weights of shape {weights.shape} don't fit an input of shape {source.shape}")
    window = context.window(
        attributes.padding,
        source,
        kernel=(weights.shape[1], weights.shape[2]),
        stride=(attributes.stride_h, attributes.stride_w),
        dilation=(attributes.dilation_h, attributes.dilation_w),
    )
    bias = context.bias_input(operator, 2, channels=weights.shape[0], filter_index=1)
    clamp = context.clamp(attributes.activation)
    context.add(operator, Conv2d(window, depth // weights.shape[3], clamp), [source.name, weights.name, bias.name])

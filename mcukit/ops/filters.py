# SPDX-License-Identifier: Apache-2.0
"""What convolution, depthwise convolution and fully connected layers share: weights, biases and requantization."""

from __future__ import annotations

__all__ = [
    "FilterArithmetic",
    "check_onnx_filter",
    "check_tflite_filter",
    "conv_to_onnx",
    "exact_float",
    "output_shape",
    "pad_map",
    "padded_input",
    "patches",
    "quantize_filter",
    "tap",
    "window_fields",
]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Shape, Tensor
from mcukit.ops.activation import Clamp
from mcukit.ops.window import Window
from mcukit.quantized.arithmetic import quantize_multiplier, requantize
from mcukit.quantized.integer import ConstantArray, Field
from mcukit.tflite.enums import BuiltinOperator, Padding
from mcukit.tflite.options import PadOptions

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]

_FINISHED_TOGETHER = 1 << 14
"""Values that are requantized at once in the reference."""

BIAS_LIMIT = 1 << 29
"""Quantized biases stay below this, so that they leave the accumulator three quarters of its range."""


def output_shape(window: Window, source: Tensor, channels: int) -> Shape:
    """NHWC output of a window sliding over `source`."""
    height = window.output_size(source.shape[1], 0)
    width = window.output_size(source.shape[2], 1)
    if height < 1 or width < 1:
        raise McukitError(
            "invalid-model",
            f"a {window.kernel[0]}x{window.kernel[1]} window with pads {window.pads} does not fit into the "
            f"{source.shape[1]}x{source.shape[2]} map '{source.name}'",
            hint="export the model for a larger input",
        )
    return (1, height, width, channels)


def quantize_filter(source: Tensor, weights: Tensor, bias: Tensor, axis: int, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Weights of `bits` bits symmetric per output channel along `axis`, and the int32 bias with scale input * weight.

    A channel whose weights are tiny beside its bias gets a larger scale, or its bias would not fit 32 bits.
    """
    if source.quantization is None:
        raise ValueError(f"'{source.name}' has no quantization")
    input_scale = source.quantization.tensor_scale
    values = np.asarray(weights.data, np.float64)
    biases = np.asarray(bias.data, np.float64)
    others = tuple(i for i in range(values.ndim) if i != axis)
    largest = np.abs(values).max(axis=others, initial=0.0)
    limit = (1 << (bits - 1)) - 1
    scale = np.maximum(largest / limit, np.abs(biases) / (input_scale * BIAS_LIMIT))
    scale = np.where(scale > np.finfo(np.float32).tiny, scale, 1.0).astype(np.float32)
    along = scale.astype(np.float64).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    integers = np.clip(np.rint(values / along), -limit, limit).astype(np.int8)
    bias_scale = np.float32(input_scale) * scale
    bias_integers = np.rint(biases / bias_scale.astype(np.float64)).astype(np.int32)
    return (
        Tensor(weights.name, weights.shape, integers, Quantization(scale, 0, axis, bits)),
        Tensor(bias.name, bias.shape, bias_integers, Quantization(bias_scale, 0, 0, bits=32)),
    )


@dataclass(frozen=True, eq=False)
class FilterArithmetic:
    """The integers of a layer with weights.

    weights: int8 as the graph has them; bias: int64 without the input's zero point folded in;
    folded_bias: bias - zero point * sum of weights; multiplier, shift: int64, one per output channel.
    """

    weights: Int8Array
    bias: npt.NDArray[np.int64]
    folded_bias: npt.NDArray[np.int64]
    multiplier: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int64]
    input_zero_point: int
    output_zero_point: int
    minimum: int
    maximum: int
    weight_bits: int = 8

    @classmethod
    def derive(cls, inputs: Sequence[Tensor], output: Tensor, clamp: Clamp, axis: int) -> FilterArithmetic:
        """From quantized tensors: map, weights, bias; `axis` of the weights counts output channels.

        The factor is a double made of float32 scales, as in TFLM.
        """
        source, weights, bias = (tensor.quantization for tensor in inputs)
        target = output.quantization
        if source is None or weights is None or bias is None or target is None:
            raise ValueError(f"'{output.name}' is not quantized")
        integers = np.asarray(inputs[1].data, np.int8)
        channels = inputs[2].elements
        scales = np.broadcast_to(weights.scale.astype(np.float64), (channels,))
        factors = source.tensor_scale * scales / target.tensor_scale
        pairs = np.array([quantize_multiplier(float(factor)) for factor in factors], np.int64)
        biases = np.asarray(inputs[2].data, np.int64)
        others = tuple(i for i in range(integers.ndim) if i != axis)
        sums = integers.sum(axis=others, dtype=np.int64)
        minimum, maximum = clamp.integer_limits(target)
        return cls(
            integers, biases, biases - source.zero_point * sums, pairs[:, 0], pairs[:, 1],
            source.zero_point, target.zero_point, minimum, maximum, weights.bits,
        )  # fmt: skip

    def finish(self, accumulators: npt.NDArray[np.number]) -> Int8Array:
        """Output bytes of sums of raw input times weight, which are whole numbers; channels last.

        Some pixels at a time, so that what lies between the sums and the bytes stays in the processor's cache.
        """
        channels = accumulators.shape[-1]
        sums, finished = accumulators.reshape(-1, channels), np.empty(accumulators.shape, np.int8)
        pixels, step = finished.reshape(-1, channels), max(1, _FINISHED_TOGETHER // channels)
        for first in range(0, len(sums), step):
            part = sums[first : first + step].astype(np.int64)
            part += self.folded_bias
            scaled = requantize(part, self.multiplier, self.shift)
            scaled += self.output_zero_point
            pixels[first : first + step] = np.clip(scaled, self.minimum, self.maximum, out=scaled)
        return finished

    def largest_accumulator(self, reduce_axes: tuple[int, ...]) -> int:
        """Bound over every partial sum, in TFLM's order (x - zero point) and in ours (raw x), after a left shift."""
        magnitudes = np.abs(self.weights.astype(np.int64)).sum(axis=reduce_axes)
        centred = max(127 - self.input_zero_point, self.input_zero_point + 128)
        theirs = np.abs(self.bias) + centred * magnitudes
        ours = np.abs(self.folded_bias) + 128 * magnitudes
        left = np.maximum(self.shift, 0)
        # In floating point, which has no width to overflow: scales of a hostile file can ask for any shift.
        finished = np.ldexp(np.maximum(theirs, ours).astype(np.float64), left).max(initial=0.0)
        return int(max(finished, self._largest_stored_sum(reduce_axes)))

    def _largest_stored_sum(self, reduce_axes: tuple[int, ...]) -> int:
        """Bound over partial sums of packed kernels, which are not shifted before they are complete.

        Weights of fewer than 8 bits may be multiplied as they are stored, from 0 on, and the surplus taken off at any
        time. Inputs of 4 bits reach 15 as they are stored, and the bias is 8 times the sum of the weights smaller than
        `folded_bias`: both together are less than the 128 that inputs of 8 bits reach.
        """
        if self.weight_bits == 8:
            return 0  # no more than `largest_accumulator` has counted
        offset = 1 << (self.weight_bits - 1)
        stored = (self.weights.astype(np.int64) + offset).sum(axis=reduce_axes)
        surplus = offset * int(np.prod([self.weights.shape[axis] for axis in reduce_axes]))
        return int((np.abs(self.folded_bias) + 128 * (stored + surplus)).max(initial=0))

    def fields(self, layout: str, packed: Int8Array | None = None) -> tuple[Field, ...]:
        """Struct members that all kernels with weights have. layout: the dimensions of the weights in words.

        packed: the weights as the kernel wants them, if not as the graph has them.
        """
        weights = ConstantArray("weights", "int8_t", self.weights if packed is None else packed, layout)
        return self._fields(weights, self.folded_bias, self.input_zero_point)

    def packed_fields(self, weights: ConstantArray, input_bits: int, axis: int) -> tuple[Field, ...]:
        """The same of kernels for packed maps or weights, which see inputs as they are stored.

        weights: as the kernel wants them (mcukit.quantized.weight_packing). axis: of `self.weights`, counts output
        channels.
        """
        offset = 0 if input_bits == 8 else 1 << (input_bits - 1)
        others = tuple(i for i in range(self.weights.ndim) if i != axis)
        bias = self.folded_bias - offset * self.weights.sum(axis=others, dtype=np.int64)
        return (
            *self._fields(weights, bias, self.input_zero_point + offset),
            Field("weight_bits", self.weight_bits),
        )

    def _fields(self, weights: ConstantArray, bias: npt.NDArray[np.int64], zero_point: int) -> tuple[Field, ...]:
        return (
            Field("weights", weights),
            Field("bias", ConstantArray("bias", "int32_t", bias.astype(np.int32), "[output channel]")),
            Field(
                "multiplier",
                ConstantArray("multiplier", "int32_t", self.multiplier.astype(np.int32), "[output channel]"),
            ),
            Field("shift", ConstantArray("shift", "int8_t", self.shift.astype(np.int8), "[output channel]")),
            Field("input_zero_point", zero_point),
            Field("output_zero_point", self.output_zero_point),
            Field("minimum", self.minimum),
            Field("maximum", self.maximum),
        )


def window_fields(window: Window) -> tuple[Field, ...]:
    """Struct member `window` of the C kernels, flattened."""
    return (
        Field("window.kernel_height", window.kernel[0]),
        Field("window.kernel_width", window.kernel[1]),
        Field("window.stride_y", window.stride[0]),
        Field("window.stride_x", window.stride[1]),
        Field("window.dilation_y", window.dilation[0]),
        Field("window.dilation_x", window.dilation[1]),
        Field("window.pad_top", window.pads[0]),
        Field("window.pad_left", window.pads[1]),
    )


def exact_float(weights: Int8Array) -> type[np.float32 | np.float64]:
    """The narrowest float type in which every partial sum of raw int8 input times these weights is exact."""
    per_channel = np.abs(weights.astype(np.int64)).reshape(weights.shape[0], -1).sum(axis=1).max(initial=0)
    return np.float32 if 128 * int(per_channel) < 1 << 24 else np.float64


def pad_map(values: Int8Array, window: Window, fill: int) -> Int8Array:
    """(batch, height, width, channels) with the window's pads filled."""
    top, left, bottom, right = window.pads
    if not any(window.pads):
        return values
    return np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def tap(
    padded: npt.NDArray[np.generic], window: Window, output_map: tuple[int, int, int], row: int, column: int
) -> npt.NDArray[np.generic]:
    """The padded input as tap (row, column) of the window sees it, one value per output pixel."""
    top, left = row * window.dilation[0], column * window.dilation[1]
    bottom = top + (output_map[0] - 1) * window.stride[0] + 1
    right = left + (output_map[1] - 1) * window.stride[1] + 1
    return padded[:, top : bottom : window.stride[0], left : right : window.stride[1]]


def patches(padded: Int8Array, window: Window, output_map: tuple[int, int, int]) -> Int8Array:
    """im2col: (batch, output height, output width, taps, channels), a view where the kernel is 1x1."""
    taps = [
        tap(padded, window, output_map, row, column)
        for row in range(window.kernel[0])
        for column in range(window.kernel[1])
    ]
    stacked: Int8Array = np.stack(taps, axis=3)
    return stacked


def conv_to_onnx(
    builder: FloatModelBuilder,
    window: Window,
    clamp: Clamp,
    inputs: Sequence[Tensor],
    weights: npt.NDArray[np.generic],
    output: Tensor,
    *,
    groups: int,
) -> None:
    """An ONNX Conv; weights (output channels, input channels / groups, rows, columns)."""
    operands = [builder.value(inputs[0]), builder.constant(weights), builder.constant(np.asarray(inputs[2].data))]
    builder.clamped(
        "Conv",
        operands,
        output,
        clamp,
        kernel_shape=list(window.kernel),
        strides=list(window.stride),
        dilations=list(window.dilation),
        pads=list(window.pads),
        group=groups,
    )


def padded_input(builder: TfliteBuilder, window: Window, source: Tensor, output: Tensor) -> tuple[int, Padding]:
    """Index of the tensor that a TFLite window reads, and its padding mode.

    TFLite knows two paddings only; any other becomes a PAD in front of a VALID window, with the same bytes.
    """
    if window.is_valid():
        return builder.tensor(source), Padding.VALID
    if window.is_same(source.shape[1], source.shape[2]):
        return builder.tensor(source), Padding.SAME
    top, left, bottom, right = window.pads
    shape = (1, source.shape[1] + top + bottom, source.shape[2] + left + right, source.shape[3])
    padded = builder.temporary(f"{output.name}/padded", shape, source.quantization)
    amounts = builder.constant_int32(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
    builder.operator(BuiltinOperator.PAD, PadOptions(), [builder.tensor(source), amounts], [padded])
    return padded, Padding.VALID


def check_onnx_filter(context: OnnxContext, source: Tensor, weights: npt.NDArray[np.generic], groups: int) -> None:
    """Refuses weights that don't fit the input's channels and the number of groups."""
    channels = source.shape[3]
    if groups < 1 or channels != weights.shape[1] * groups or weights.shape[0] % groups:
        context.invalid(
            f"weights of shape {tuple(weights.shape)} with {groups} group(s) don't fit an input of {channels} channels"
        )


def check_tflite_filter(context: TfliteContext, weights: Tensor, rank: int) -> None:
    if len(weights.shape) != rank or 0 in weights.shape:
        context.invalid(f"weights of shape {weights.shape}, expected rank {rank}")

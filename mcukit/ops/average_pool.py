# SPDX-License-Identifier: Apache-2.0
"""The mean of each window, halves away from zero.

Kernel: firmware/mcukit_nn/src/mk_average_pool_s8.c, mk_average_pool_s8_dsp.c.
"""

from __future__ import annotations

__all__ = ["AveragePool", "AveragePoolInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops import filters, pooling
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.maps import quantization_of, require_same_quantization
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.ops.pad import Pad
from mcukit.ops.window import Window
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator, Padding

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]

_DSP_WINDOW = 1024
"""The largest window, in pixels, for DSP kernels: they multiply by the inverse of their number."""


@dataclass(frozen=True)
class AveragePool(Operator):
    """Input: map. Padding doesn't count: a window at the border averages the pixels that exist.

    The pads are none or those of TFLite's SAME, since TFLite knows no others that don't count.
    """

    op_name = "average_pool"
    ties_quantization = True
    window: Window
    clamp: Clamp = UNBOUNDED

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        shape = filters.output_shape(self.window, inputs[0], inputs[0].shape[3])
        for axis in (0, 1):
            if _taps(self.window, axis, inputs[0].shape[axis + 1], shape[axis + 1]).min() < 1:
                raise McukitError(
                    "invalid-model",
                    f"a {self.window.kernel} window with pads {self.window.pads} averages only padding",
                    hint="make the pads smaller than the kernel",
                )
        return shape

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        return self.window.input_range(first, last, map_shape(inputs[0].shape)[axis], axis)

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.clamped(
            "AveragePool",
            [builder.value(inputs[0])],
            output,
            self.clamp,
            kernel_shape=list(self.window.kernel),
            strides=list(self.window.stride),
            pads=list(self.window.pads),
            count_include_pad=0,
        )

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        minimum, maximum = self.clamp.integer_limits(quantization_of(output))
        return AveragePoolInt8(self.window, map_shape(output.shape), minimum, maximum)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        padding = Padding.VALID if self.window.is_valid() else Padding.SAME
        attributes = pooling.tflite_options(builder, self.window, self.clamp, padding)
        operands, results = [builder.tensor(inputs[0])], [builder.tensor(output)]
        builder.operator(BuiltinOperator.AVERAGE_POOL_2D, attributes, operands, results)


@dataclass(frozen=True, eq=False)
class AveragePoolInt8(IntegerOperator):
    """output_map: (height, width, channels) of the output; minimum, maximum: limits of its bytes."""

    window: Window
    output_map: tuple[int, int, int]
    minimum: int
    maximum: int

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        height, width, _ = self.output_map
        rows = _taps(self.window, 0, inputs[0].shape[1], height)
        columns = _taps(self.window, 1, inputs[0].shape[2], width)
        count = np.outer(rows, columns)[np.newaxis, :, :, np.newaxis]
        padded = filters.pad_map(inputs[0], self.window, 0)
        sums = np.zeros((padded.shape[0], *self.output_map), np.int64)
        for row in range(self.window.kernel[0]):
            for column in range(self.window.kernel[1]):
                sums += filters.tap(padded, self.window, self.output_map, row, column).astype(np.int64)
        # Half away from zero, the quotient itself being truncated as in C.
        mean = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        limited: Int8Array = np.clip(mean, self.minimum, self.maximum).astype(np.int8)
        return limited

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        output_map = (output.rows, output.columns, self.output_map[2])
        return replace(self, window=self.window.crop(output, inputs[0]), output_map=output_map)

    def largest_accumulator(self) -> int:
        taps = self.window.kernel[0] * self.window.kernel[1]
        return 128 * taps + taps // 2

    def kernel(self) -> Kernel:
        return Kernel(
            "mk_average_pool_s8",
            (
                *filters.window_fields(self.window),
                Field("minimum", self.minimum),
                Field("maximum", self.maximum),
            ),
            scratch_bytes=4 * self.output_map[2],
        )

    def dsp_kernel(self) -> Kernel:
        height, width, channels = self.output_map
        suits = self._suits_dsp and pooling.sums_suit_dsp(MapForm(height, width, channels))
        return replace(self.kernel(), function="mk_average_pool_s8_dsp" if suits else "mk_average_pool_s8")

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_average_pool_packed")

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        suits = self._suits_dsp and pooling.sums_suit_dsp(output)
        return replace(self.kernel(), function="mk_average_pool_packed_dsp" if suits else "mk_average_pool_packed")

    @property
    def _suits_dsp(self) -> bool:
        return self.window.kernel[0] * self.window.kernel[1] <= _DSP_WINDOW


def _taps(window: Window, axis: int, size: int, outputs: int) -> npt.NDArray[np.int64]:
    """How many of the window's rows (axis 0) or columns (1) lie inside the map, for each output."""
    start = np.arange(outputs) * window.stride[axis] - window.pads[axis]
    inside: npt.NDArray[np.int64] = np.minimum(start + window.kernel[axis], size) - np.maximum(start, 0)
    return inside


@onnx_operator("AveragePool")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
    source = context.nhwc(node.inputs[0])
    window = pooling.onnx_window(context, node, source)
    if node.integer("count_include_pad", 0):
        source, window = _pad_in_front(context, node, source, window)
    if not window.is_valid() and not window.is_same(source.shape[1], source.shape[2]):
        context.unsupported(
            f"pads {window.pads} (top, left, bottom, right) that don't count and that TFLite doesn't know",
            "use count_include_pad=1, no padding, or padding that gives ceil(size / stride) outputs",
        )
    context.add_nhwc(node, AveragePool(window), [source.name])


def _pad_in_front(context: OnnxContext, node: OnnxNode, source: Tensor, window: Window) -> tuple[Tensor, Window]:
    """Moves the pads that count into an operator of their own. What ceil_mode added to them never counts."""
    counted = window.pads
    if node.integer("ceil_mode", 0) and node.text("auto_pad", "NOTSET") in ("", "NOTSET"):
        pads = node.integers("pads", (0, 0, 0, 0))
        counted = (pads[0], pads[1], pads[2], pads[3])
    rest = tuple(total - own for total, own in zip(window.pads, counted, strict=True))
    remaining = replace(window, pads=(rest[0], rest[1], rest[2], rest[3]))
    if not any(counted):
        return source, remaining
    return context.add_intermediate(node, "pad", Pad(counted), [source.name]), remaining


@onnx_operator("GlobalAveragePool")
def import_global(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    source = context.nhwc(node.inputs[0])
    context.add_nhwc(node, AveragePool(Window((source.shape[1], source.shape[2]))), [source.name])


@onnx_operator("ReduceMean")
def import_reduce_mean(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("axes", "keepdims", "noop_with_empty_axes")
    shape = context.shape(node.inputs[0])
    axes = node.integers("axes", ())
    if node.has_input(1):
        axes = tuple(int(axis) for axis in context.constant(node.inputs[1]).reshape(-1))
    spatial = sorted(axis + len(shape) if axis < 0 else axis for axis in axes)
    if len(shape) != 4 or spatial not in ([2, 3], [1, 2]):
        context.unsupported(
            f"the mean of an input of shape {shape} over the axes {list(axes)}",
            "only the mean over height and width is supported",
        )
    source = pooling.nhwc_of(context, node.inputs[0], channels_last=spatial == [1, 2])
    context.add_nhwc(node, AveragePool(Window((source.shape[1], source.shape[2]))), [source.name])


@tflite_operator(BuiltinOperator.AVERAGE_POOL_2D)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.Pool2DOptions)
    source = context.input(operator, 0)
    window = pooling.tflite_window(context, attributes, source)
    output = context.add(operator, AveragePool(window, context.clamp(attributes.activation)), [source.name])
    require_same_quantization(context, [source], output)

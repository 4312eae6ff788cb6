# SPDX-License-Identifier: Apache-2.0
"""The largest value of each window. Kernel: firmware/mcukit_nn/src/mk_max_pool_s8.c, mk_max_pool_s8_dsp.c."""

from __future__ import annotations

__all__ = ["MaxPool", "MaxPoolInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops import filters, pooling
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.maps import quantization_of, require_same_quantization
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
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

_DSP_BYTES = 4
"""The fewest bytes that pixels have for DSP kernels, which compare words."""


@dataclass(frozen=True)
class MaxPool(Operator):
    """Input: map. Padding is smaller than any value; the window has no dilation."""

    op_name = "max_pool"
    ties_quantization = True
    window: Window
    clamp: Clamp = UNBOUNDED

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        return filters.output_shape(self.window, inputs[0], inputs[0].shape[3])

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        return self.window.input_range(first, last, map_shape(inputs[0].shape)[axis], axis)

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        builder.clamped(
            "MaxPool",
            [builder.value(inputs[0])],
            output,
            self.clamp,
            kernel_shape=list(self.window.kernel),
            strides=list(self.window.stride),
            pads=list(self.window.pads),
        )

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        minimum, maximum = self.clamp.integer_limits(quantization_of(output))
        return MaxPoolInt8(self.window, map_shape(output.shape), minimum, maximum)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        source, padding = self._padded_input(builder, inputs[0], output)
        attributes = pooling.tflite_options(builder, self.window, self.clamp, padding)
        builder.operator(BuiltinOperator.MAX_POOL_2D, attributes, [source], [builder.tensor(output)])

    def _padded_input(self, builder: TfliteBuilder, source: Tensor, output: Tensor) -> tuple[int, Padding]:
        """The tensor that TFLite's operator reads; pads that it doesn't know hold the least integer."""
        window = self.window
        if window.is_valid():
            return builder.tensor(source), Padding.VALID
        if window.is_same(source.shape[1], source.shape[2]):
            return builder.tensor(source), Padding.SAME
        top, left, bottom, right = window.pads
        quantization = quantization_of(source)
        shape = (1, source.shape[1] + top + bottom, source.shape[2] + left + right, source.shape[3])
        padded = builder.temporary(f"{output.name}/padded", shape, quantization)
        amounts = builder.constant_int32(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
        least = builder.constant_int8(np.array([quantization.minimum], np.int8), (1,), quantization)
        operands = [builder.tensor(source), amounts, least]
        builder.operator(BuiltinOperator.PADV2, options.PadV2Options(), operands, [padded])
        return padded, Padding.VALID


@dataclass(frozen=True, eq=False)
class MaxPoolInt8(IntegerOperator):
    """output_map: (height, width, channels) of the output; minimum, maximum: limits of its bytes."""

    window: Window
    output_map: tuple[int, int, int]
    minimum: int
    maximum: int

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        padded = filters.pad_map(inputs[0], self.window, self.minimum)
        largest = np.full((padded.shape[0], *self.output_map), self.minimum, np.int8)
        for row in range(self.window.kernel[0]):
            for column in range(self.window.kernel[1]):
                np.maximum(largest, filters.tap(padded, self.window, self.output_map, row, column), out=largest)
        return np.minimum(largest, np.int8(self.maximum))

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        output_map = (output.rows, output.columns, self.output_map[2])
        return replace(self, window=self.window.crop(output, inputs[0]), output_map=output_map)

    def kernel(self) -> Kernel:
        limits = (Field("minimum", self.minimum), Field("maximum", self.maximum))
        return Kernel("mk_max_pool_s8", (*filters.window_fields(self.window), *limits))

    def dsp_kernel(self) -> Kernel:
        suits = self.output_map[2] >= _DSP_BYTES
        return replace(self.kernel(), function="mk_max_pool_s8_dsp" if suits else "mk_max_pool_s8")

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_max_pool_packed")

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        suits = output.pixel_bytes >= _DSP_BYTES
        return replace(self.kernel(), function="mk_max_pool_packed_dsp" if suits else "mk_max_pool_packed")


@onnx_operator("MaxPool")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
    if len(node.outputs) > 1 and node.outputs[1]:
        context.unsupported("the output Indices", "export the model without it (return_indices=False)")
    source = context.nhwc(node.inputs[0])
    context.add_nhwc(node, MaxPool(pooling.onnx_window(context, node, source)), [source.name])


@onnx_operator("GlobalMaxPool")
def import_global(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    source = context.nhwc(node.inputs[0])
    context.add_nhwc(node, MaxPool(Window((source.shape[1], source.shape[2]))), [source.name])


@tflite_operator(BuiltinOperator.MAX_POOL_2D)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.Pool2DOptions)
    source = context.input(operator, 0)
    window = pooling.tflite_window(context, attributes, source)
    output = context.add(operator, MaxPool(window, context.clamp(attributes.activation)), [source.name])
    require_same_quantization(context, [source], output)

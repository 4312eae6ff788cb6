# SPDX-License-Identifier: Apache-2.0
"""A border of constant pixels and channels. Kernel: firmware/mcukit_nn/src/mk_pad_s8.c."""

from __future__ import annotations

__all__ = ["Pad", "PadInt8"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops.maps import checked_shape, quantization_of, require_same_quantization
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.ops.window import padding_around
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Pad(Operator):
    """Input: map of rank 4.

    pads: pixels at the (top, left, bottom, right); channels: how many (before, after) each pixel's own;
    value: the real number that all of these hold.
    """

    op_name = "pad"
    ties_quantization = True
    pads: tuple[int, int, int, int]
    channels: tuple[int, int] = (0, 0)
    value: float = 0.0

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        _, height, width, channels = inputs[0].shape
        top, left, bottom, right = self.pads
        return checked_shape("padding", (1, height + top + bottom, width + left + right, channels + sum(self.channels)))

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        size, before = map_shape(inputs[0].shape)[axis], self.pads[axis]
        return min(max(first - before, 0), size), max(min(last - before, size), 0)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        top, left, bottom, right = self.pads
        before, after = self.channels
        amounts = builder.constant(np.array([0, before, top, left, 0, after, bottom, right], np.int64))
        value = builder.constant(np.array(self.value, np.float32))
        builder.add("Pad", [builder.value(inputs[0]), amounts, value], [builder.value(output)])

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        return PadInt8(self.pads, self.channels, map_shape(output.shape), self._integer_value(output))

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        top, left, bottom, right = self.pads
        amounts = builder.constant_int32(np.array([[0, 0], [top, bottom], [left, right], self.channels], np.int32))
        operands, results = [builder.tensor(inputs[0]), amounts], [builder.tensor(output)]
        if self.value == 0.0:
            builder.operator(BuiltinOperator.PAD, options.PadOptions(), operands, results)
            return
        constant = np.array([self._integer_value(output)], np.int8)
        operands.append(builder.constant_int8(constant, (1,), quantization_of(output)))
        builder.operator(BuiltinOperator.PADV2, options.PadV2Options(), operands, results)

    def _integer_value(self, output: Tensor) -> int:
        return int(quantization_of(output).quantize(np.array(self.value)))


@dataclass(frozen=True, eq=False)
class PadInt8(IntegerOperator):
    """output_map: (height, width, channels) of the output; value: the byte of the border."""

    pads: tuple[int, int, int, int]
    channels: tuple[int, int]
    output_map: tuple[int, int, int]
    value: int

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        top, left, _, _ = self.pads
        batch, height, width, depth = inputs[0].shape
        first = self.channels[0]
        padded = np.full((batch, *self.output_map), self.value, np.int8)
        padded[:, top : top + height, left : left + width, first : first + depth] = inputs[0]
        return padded

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        rows = output.first_row - self.pads[0], output.last_row - self.pads[0]
        columns = output.first_column - self.pads[1], output.last_column - self.pads[1]
        top, bottom = padding_around(rows, (inputs[0].first_row, inputs[0].last_row))
        left, right = padding_around(columns, (inputs[0].first_column, inputs[0].last_column))
        output_map = (output.rows, output.columns, self.output_map[2])
        return replace(self, pads=(top, left, bottom, right), output_map=output_map)

    def kernel(self) -> Kernel:
        return Kernel(
            "mk_pad_s8",
            (
                Field("top", self.pads[0]),
                Field("left", self.pads[1]),
                Field("first_channel", self.channels[0]),
                Field("value", self.value),
            ),
        )

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        assembled = output.channels if any(self.channels) else 0
        return replace(self.kernel(), function="mk_pad_packed", scratch_bytes=assembled, takes_scratch=True)


@onnx_operator("Pad")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("mode")
    if node.text("mode", "constant") != "constant":
        context.unsupported(f"the mode '{node.text('mode', '')}'", "only padding with a constant exists")
    shape = context.shape(node.inputs[0])
    before, after = _onnx_amounts(context, node, len(shape))
    value = 0.0
    if node.has_input(2):
        constant = context.constant(node.inputs[2])
        if constant.size != 1:
            context.invalid(f"a constant of shape {constant.shape}, expected one value")
        value = float(constant.astype(np.float64).reshape(-1)[0])
    if min(before + after) < 0:
        context.unsupported(f"the negative amounts {before} and {after}, which crop", "crop the input instead")
    if not any(before + after):
        context.set_view(node.outputs[0], context.view(node.inputs[0]))
        return
    if len(shape) != 4 or before[0] or after[0]:
        context.unsupported(
            f"the amounts {before} and {after} on an input of shape {shape}",
            "only rows, columns and channels of a feature map can be padded",
        )
    if not math.isfinite(value):
        context.unsupported(f"the constant {value}", "pad with a finite value")
    source = context.nhwc(node.inputs[0])
    pads = (before[2], before[3], after[2], after[3])
    context.add_nhwc(node, Pad(pads, (before[1], after[1]), value), [source.name])


def _onnx_amounts(context: OnnxContext, node: OnnxNode, rank: int) -> tuple[list[int], list[int]]:
    """Elements to add before and after, for each axis of the value."""
    amounts = [int(amount) for amount in context.constant(node.inputs[1]).reshape(-1)]
    axes = list(range(rank))
    if node.has_input(3):
        axes = [int(axis) for axis in context.constant(node.inputs[3]).reshape(-1)]
    if len(amounts) != 2 * len(axes) or any(not -rank <= axis < rank for axis in axes):
        context.invalid(f"{len(amounts)} amounts for the axes {axes} of an input of rank {rank}")
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis] = amounts[position]
        after[axis] = amounts[position + len(axes)]
    return before, after


@tflite_operator(BuiltinOperator.PAD, BuiltinOperator.PADV2)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    source = context.input(operator, 0)
    amounts = context.integers_input(operator, 1)
    if len(source.shape) != 4:
        context.unsupported(f"padding of an input of shape {source.shape}", "only rank 4 can be padded")
    if amounts.shape != (4, 2) or amounts.min() < 0:
        context.invalid(f"the amounts {amounts.tolist()} don't fit an input of shape {source.shape}")
    batch, rows, columns, channels = ((int(before), int(after)) for before, after in amounts)
    if any(batch):
        context.unsupported("padding of the batch", "only rows, columns and channels can be padded")
    value = _tflite_value(context, operator) if context.has_input(operator, 2) else 0.0
    pads = (rows[0], columns[0], rows[1], columns[1])
    output = context.add(operator, Pad(pads, channels, value), [source.name])
    require_same_quantization(context, [source], output)
    if context.has_input(operator, 2):
        require_same_quantization(context, [context.constant_input(operator, 2)], output)


def _tflite_value(context: TfliteContext, operator: schema.Operator) -> float:
    """PADV2's constant as a real number."""
    constant = context.constant_input(operator, 2)
    data = np.asarray(constant.data).reshape(-1)
    if data.size != 1:
        context.invalid(f"a constant of shape {constant.shape}, expected one value")
    if constant.quantization is None:
        return float(data[0])
    return constant.quantization.tensor_scale * (int(data[0]) - constant.quantization.zero_point)

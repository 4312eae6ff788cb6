# SPDX-License-Identifier: Apache-2.0
"""Another shape for the same bytes. It has no kernel: the output is the input's memory.

In ONNX files, reshapes and transposes only change how later nodes look at a tensor; the context adds a
Reshape where one needs another physical shape.
"""

from __future__ import annotations

__all__ = ["Reshape", "ReshapeInt8"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops.maps import require_same_quantization
from mcukit.ops.operator import Operator, tflite_operator
from mcukit.quantized.integer import IntegerOperator, Kernel
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Reshape(Operator):
    """Input: map. shape: of the output, with batch 1; elements keep their place in memory."""

    op_name = "reshape"
    ties_quantization = True
    shape: Shape

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        if math.prod(self.shape) != inputs[0].elements or not 1 < len(self.shape) < 5 or self.shape[0] != 1:
            raise McukitError(
                "invalid-model",
                f"a map of shape {inputs[0].shape} can't be seen as {self.shape}",
                hint="the number of elements has to stay the same, the rank is 2 to 4 and the batch is 1",
            )
        return self.shape

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        """The rows that hold the bytes of the output rows; all of their columns unless pixels stay pixels."""
        height, width, channels = map_shape(self.shape)
        input_height, input_width, input_channels = map_shape(inputs[0].shape)
        if (height, width) == (input_height, input_width):
            return first, last
        if axis == 1:
            return 0, input_width
        row, input_row = width * channels, input_width * input_channels
        return first * row // input_row, -(-last * row // input_row)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        source = builder.value(inputs[0])
        if len(inputs[0].shape) == 4:
            source, turned = builder.temporary(), source
            builder.add("Transpose", [turned], [source], perm=[0, 2, 3, 1])
        # Zero keeps the batch as it is.
        shape = builder.constant(np.array([0, *self.shape[1:]], np.int64))
        if len(self.shape) != 4:
            builder.add("Reshape", [source, shape], [builder.value(output)])
            return
        reshaped = builder.temporary()
        builder.add("Reshape", [source, shape], [reshaped])
        builder.add("Transpose", [reshaped], [builder.value(output)], perm=[0, 3, 1, 2])

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        return ReshapeInt8(map_shape(self.shape))

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands = [builder.tensor(inputs[0]), builder.constant_int32(np.array(self.shape, np.int32))]
        attributes = options.ReshapeOptions(new_shape=self.shape)
        builder.operator(BuiltinOperator.RESHAPE, attributes, operands, [builder.tensor(output)])


@dataclass(frozen=True, eq=False)
class ReshapeInt8(IntegerOperator):
    """output_map: (height, width, channels) of the output."""

    output_map: tuple[int, int, int]

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        return inputs[0].reshape(inputs[0].shape[0], *self.output_map)

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        raise ValueError("a view is never computed, so no part of it is")

    def kernel(self) -> Kernel | None:
        return None


@tflite_operator(BuiltinOperator.RESHAPE)
def import_tflite_reshape(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.ReshapeOptions)
    shape = attributes.new_shape
    if context.has_input(operator, 1):
        shape = tuple(int(size) for size in context.integers_input(operator, 1).reshape(-1))
    source = context.input(operator, 0)
    known = math.prod(size for size in shape if size != -1)
    if shape.count(-1) == 1 and known > 0:
        shape = tuple(source.elements // known if size == -1 else size for size in shape)
    _add(context, operator, source, shape)


@tflite_operator(BuiltinOperator.SQUEEZE)
def import_tflite_squeeze(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.SqueezeOptions)
    source = context.input(operator, 0)
    rank = len(source.shape)
    axes = {axis + rank if axis < 0 else axis for axis in attributes.squeeze_dims}
    if any(not 0 <= axis < rank or source.shape[axis] != 1 for axis in axes):
        context.invalid(f"the dimensions {attributes.squeeze_dims} of {source.shape} can't be squeezed")
    kept = [size for axis, size in enumerate(source.shape) if axis not in axes and (axes or size != 1)]
    _add(context, operator, source, tuple(kept))


@tflite_operator(BuiltinOperator.EXPAND_DIMS)
def import_tflite_expand_dims(context: TfliteContext, operator: schema.Operator) -> None:
    source = context.input(operator, 0)
    axes = context.integers_input(operator, 1).reshape(-1)
    rank = len(source.shape) + 1
    if axes.size != 1 or not -rank <= int(axes[0]) < rank:
        context.invalid(f"the axis {axes.tolist()} for an input of shape {source.shape}")
    shape = list(source.shape)
    shape.insert(int(axes[0]) % rank, 1)
    _add(context, operator, source, tuple(shape))


@tflite_operator(BuiltinOperator.TRANSPOSE)
def import_tflite_transpose(context: TfliteContext, operator: schema.Operator) -> None:
    source = context.input(operator, 0)
    order = [int(axis) for axis in context.integers_input(operator, 1).reshape(-1)]
    if sorted(order) != list(range(len(source.shape))):
        context.invalid(f"the permutation {order} for an input of shape {source.shape}")
    moved = [axis for axis in order if source.shape[axis] != 1]
    if moved != sorted(moved):
        context.unsupported(
            f"the permutation {order} of {source.shape} moves elements in memory",
            "export the model without transposes, channels last throughout",
        )
    _add(context, operator, source, tuple(source.shape[axis] for axis in order))


def _add(context: TfliteContext, operator: schema.Operator, source: Tensor, shape: Shape) -> None:
    if not 1 < len(shape) < 5 or shape[0] != 1:
        context.unsupported(f"the shape {shape} as its result", "a map has rank 2 to 4 and starts with a batch of 1")
    output = context.add(operator, Reshape(shape), [source.name])
    require_same_quantization(context, [source], output)

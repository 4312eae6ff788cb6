# SPDX-License-Identifier: Apache-2.0
"""Maps side by side along channels. Kernel: firmware/mcukit_nn/src/mk_concat_s8.c."""

from __future__ import annotations

__all__ = ["Concat", "ConcatInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Shape, Tensor
from mcukit.ops.maps import checked_shape, require_same_quantization
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.ops.pooling import nhwc_of
from mcukit.quantized.integer import IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import ActivationFunctionType, BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]

_TFLM_INPUTS = 10
"""TFLite Micro concatenates at most this many tensors in one operator."""


@dataclass(frozen=True)
class Concat(Operator):
    """Inputs: any number of maps, equal in all but the last dimension."""

    op_name = "concat"
    ties_quantization = True

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        first = inputs[0].shape
        for tensor in inputs[1:]:
            if tensor.shape[:-1] != first[:-1]:
                raise McukitError(
                    "invalid-model",
                    f"'{inputs[0].name}' of shape {first} and '{tensor.name}' of shape {tensor.shape} "
                    "don't fit side by side",
                    hint="the maps may differ in channels only",
                )
        return checked_shape("concatenation", (*first[:-1], sum(tensor.shape[-1] for tensor in inputs)))

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        axis = 1 if len(output.shape) == 4 else len(output.shape) - 1
        builder.add("Concat", [builder.value(tensor) for tensor in inputs], [builder.value(output)], axis=axis)

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        return ConcatInt8()

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        attributes = options.ConcatenationOptions(axis=len(output.shape) - 1)
        operands = [builder.tensor(tensor) for tensor in inputs]
        depths = [tensor.shape[-1] for tensor in inputs]
        while len(operands) > _TFLM_INPUTS:
            depths[:_TFLM_INPUTS] = [sum(depths[:_TFLM_INPUTS])]
            shape = (*output.shape[:-1], depths[0])
            part = builder.temporary(f"{output.name}/first_{depths[0]}", shape, output.quantization)
            builder.operator(BuiltinOperator.CONCATENATION, attributes, operands[:_TFLM_INPUTS], [part])
            operands[:_TFLM_INPUTS] = [part]
        builder.operator(BuiltinOperator.CONCATENATION, attributes, operands, [builder.tensor(output)])


@dataclass(frozen=True, eq=False)
class ConcatInt8(IntegerOperator):
    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        return np.concatenate(inputs, axis=3)

    def kernel(self) -> Kernel:
        return Kernel("mk_concat_s8", inputs_as_array=True)

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_concat_packed")


@onnx_operator("Concat")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("axis")
    rank = len(context.shape(node.outputs[0]))
    axis = node.integer("axis", 1)
    axis = axis + rank if axis < 0 else axis
    if rank == 2 and axis == 1:
        _concat_vectors(context, node)
    elif rank == 4 and axis == 1:
        names = [context.nhwc(value).name for value in node.inputs]
        context.add_nhwc(node, Concat(), names)
    elif rank == 4 and axis == 3:
        _concat_channels_last(context, node)
    else:
        context.unsupported(
            f"concatenation of rank {rank} along axis {axis}", "only channels can be concatenated, or vectors"
        )


def _concat_vectors(context: OnnxContext, node: OnnxNode) -> None:
    """Rank 2: elements keep the order in which each vector has them."""
    names, orders, start = [], [], 0
    for value in node.inputs:
        source, order = context.vector(value)
        names.append(source.name)
        orders.append(order + np.int32(start))
        start += source.elements
    context.add_vector(node, Concat(), names)
    view = context.view(node.outputs[0])
    context.set_view(node.outputs[0], replace(view, index=np.concatenate(orders).reshape(view.index.shape)))


def _concat_channels_last(context: OnnxContext, node: OnnxNode) -> None:
    """Rank 4 between the transposes of a network that was NHWC before it was ONNX."""
    names = [nhwc_of(context, value, channels_last=True).name for value in node.inputs]
    output = context.add_intermediate(node, "concat", Concat(), names)
    index = np.arange(output.elements, dtype=np.int32).reshape(output.shape)
    context.set_view(node.outputs[0], replace(context.view(node.inputs[0]), tensor=output.name, index=index))


@tflite_operator(BuiltinOperator.CONCATENATION)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.ConcatenationOptions)
    if attributes.activation is not ActivationFunctionType.NONE:
        context.unsupported(f"the fused {attributes.activation.name}", "TFLite Micro can't do this either")
    sources = [context.input(operator, position) for position in range(len(operator.inputs))]
    if not sources:
        context.invalid("it has no inputs")
    rank = len(sources[0].shape)
    axis = attributes.axis + rank if attributes.axis < 0 else attributes.axis
    if axis != rank - 1 or rank < 2:
        context.unsupported(
            f"concatenation of rank {rank} along axis {axis}", "only the last dimension can be concatenated"
        )
    output = context.add(operator, Concat(), [source.name for source in sources])
    require_same_quantization(context, sources, output)

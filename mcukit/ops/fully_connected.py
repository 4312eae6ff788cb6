# SPDX-License-Identifier: Apache-2.0
"""A matrix times the whole input map.

Kernels: firmware/mcukit_nn/src/mk_fully_connected_s8.c, mk_fully_connected_s8_dsp.c,
mk_fully_connected_s8_mve.c, mk_fully_connected_packed.c, mk_fully_connected_packed_dsp.c.
"""

from __future__ import annotations

__all__ = ["FullyConnected", "FullyConnectedInt8"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.ops import filters
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.quantized.integer import Field, IntegerOperator, Kernel, MapForm
from mcukit.quantized.weight_packing import filter_array, safe_sum_taps, weight_array
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator, FullyConnectedWeightsFormat

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]

_SEGMENTS = 32, 256
"""Least and most inputs that the packed kernel unpacks at a time; it wants multiples of 16."""


@dataclass(frozen=True)
class FullyConnected(Operator):
    """Inputs: map, weights (outputs, elements of the map in NHWC order), bias (outputs)."""

    op_name = "fully_connected"
    has_weights = True
    clamp: Clamp = UNBOUNDED

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        source, weights = inputs[0], inputs[1]
        if source.shape[0] != 1 or source.elements != weights.shape[1]:
            raise McukitError(
                "invalid-model",
                f"weights of shape {weights.shape} don't fit the map '{source.name}' of shape {source.shape}",
                hint="a fully connected layer takes one vector: batch 1, and one weight column per element",
            )
        return (1, weights.shape[0])

    def macs(self, inputs: Sequence[Tensor], output: Tensor) -> int:
        return inputs[1].elements

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        return 0, map_shape(inputs[0].shape)[axis]

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def quantize_constants(self, inputs: Sequence[Tensor], weight_bits: int = 8) -> tuple[Tensor, ...]:
        return (inputs[0], *filters.quantize_filter(inputs[0], inputs[1], inputs[2], axis=0, bits=weight_bits))

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        source, weights = inputs[0], np.asarray(inputs[1].data)
        if len(source.shape) == 4:
            weights = weights.reshape(-1, *source.shape[1:]).transpose(0, 3, 1, 2).reshape(weights.shape)
        vector = builder.temporary()
        builder.add("Flatten", [builder.value(source)], [vector], axis=1)
        operands = [vector, builder.constant(weights), builder.constant(np.asarray(inputs[2].data))]
        builder.clamped("Gemm", operands, output, self.clamp, transB=1)

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        return FullyConnectedInt8(filters.FilterArithmetic.derive(inputs, output, self.clamp, axis=0))

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        attributes = options.FullyConnectedOptions(activation=builder.activation(self.clamp))
        operands = [builder.tensor(tensor) for tensor in inputs]
        builder.operator(BuiltinOperator.FULLY_CONNECTED, attributes, operands, [builder.tensor(output)])


@dataclass(frozen=True, eq=False)
class FullyConnectedInt8(IntegerOperator):
    arithmetic: filters.FilterArithmetic

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        weights = self.arithmetic.weights
        exact = filters.exact_float(weights)
        vectors = inputs[0].reshape(inputs[0].shape[0], -1).astype(exact)
        accumulators = (vectors @ weights.T.astype(exact)).astype(np.int64)
        return self.arithmetic.finish(accumulators)[:, np.newaxis, np.newaxis, :]

    @property
    def weight_bits(self) -> int:
        return self.arithmetic.weight_bits

    def largest_accumulator(self) -> int:
        return self.arithmetic.largest_accumulator(reduce_axes=(1,))

    def kernel(self) -> Kernel:
        return Kernel("mk_fully_connected_s8", self.arithmetic.fields("[output channel][input element]"))

    def dsp_kernel(self) -> Kernel:
        return replace(self.kernel(), function="mk_fully_connected_s8_dsp")

    def mve_kernel(self) -> Kernel:
        return replace(self.kernel(), function="mk_fully_connected_s8_mve")

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        weights, bits = self.arithmetic.weights, self.weight_bits
        if bits == 8:
            packed = weight_array(weights, bits, "[output channel]")
        else:
            packed = filter_array(weights, 1, bits, inputs[0].bits)
        return Kernel(
            "mk_fully_connected_packed",
            (*self.arithmetic.packed_fields(packed, inputs[0].bits, axis=0), Field("segment", self._segment)),
            scratch_bytes=self._segment,
        )

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        kernel, source = self.packed_kernel(inputs, output), inputs[0]
        fields = kernel.fields
        if self.weight_bits == 2 or (self.weight_bits == 4 and source.bits != 8):
            taps = safe_sum_taps(self.arithmetic.weights, 1, self.weight_bits, source.bits)
            fields = (*fields, Field("sum_taps", taps))
        is_direct = source.channels * source.bits % 8 == 0 and source.width * source.channels % 4 == 0
        scratch = (2 if is_direct else 3) * self._segment
        return replace(kernel, function="mk_fully_connected_packed_dsp", fields=fields, scratch_bytes=scratch)

    @property
    def _segment(self) -> int:
        least, most = _SEGMENTS
        return min(max(least, -(-int(self.arithmetic.weights.shape[1]) // 16) * 16), most)


@onnx_operator("Gemm")
def import_gemm(context: OnnxContext, node: OnnxNode) -> None:
    node.allow("alpha", "beta", "transA", "transB")
    if node.integer("transA", 0):
        context.unsupported("transA=1, which transposes the input", "transpose the weights instead")
    weights = context.constant(node.inputs[1])
    if weights.ndim != 2:
        context.invalid(f"weights of rank {weights.ndim}, expected 2")
    if not node.integer("transB", 0):
        weights = weights.T
    bias: npt.NDArray[np.generic] = np.zeros(weights.shape[0], np.float32)
    if node.has_input(2):
        addend = context.constant(node.inputs[2]) * np.float32(node.real("beta", 1.0))
        bias = _one_row(context, addend, weights.shape[0])
    _add(context, node, weights * np.float32(node.real("alpha", 1.0)), bias)


@onnx_operator("MatMul")
def import_matmul(context: OnnxContext, node: OnnxNode) -> None:
    node.allow()
    if not context.is_constant(node.inputs[1]):
        context.unsupported(
            "a product of two feature maps", "only products with constant weights on the right become layers"
        )
    weights = context.constant(node.inputs[1])
    if weights.ndim != 2:
        context.unsupported(f"weights of rank {weights.ndim}", "use one matrix for the whole batch")
    _add(context, node, weights.T, np.zeros(weights.shape[1], np.float32))


def _one_row(context: OnnxContext, addend: npt.NDArray[np.generic], outputs: int) -> npt.NDArray[np.generic]:
    """A Gemm's third operand as a vector of `outputs`."""
    if addend.size not in (1, outputs) or addend.ndim > 2 or (addend.ndim == 2 and addend.shape[0] != 1):
        context.invalid(f"a bias of shape {tuple(addend.shape)} doesn't fit {outputs} outputs")
    return np.broadcast_to(addend.reshape(-1), (outputs,))


def _add(context: OnnxContext, node: OnnxNode, weights: npt.NDArray[np.generic], bias: npt.NDArray[np.generic]) -> None:
    """weights: (outputs, elements of the input in the order of ONNX)."""
    shape = context.shape(node.inputs[0])
    if not shape or any(size != 1 for size in shape[:-1]):
        context.unsupported(
            f"a matrix product with {shape} as its left side, which has more than one row",
            "only one vector at a time runs; a 1x1 convolution does the same for every pixel of a map",
        )
    if shape[-1] != weights.shape[1]:
        context.invalid(f"weights for {weights.shape[1]} inputs don't fit an input of shape {shape}")
    source, order = context.vector(node.inputs[0])
    physical = np.empty(weights.shape, np.float32)
    physical[:, order] = weights
    operands = [
        source.name,
        context.add_constant(node, "weights", physical),
        context.add_constant(node, "bias", np.ascontiguousarray(bias, np.float32)),
    ]
    context.add_vector(node, FullyConnected(), operands)


@tflite_operator(BuiltinOperator.FULLY_CONNECTED)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.FullyConnectedOptions)
    if attributes.weights_format is not FullyConnectedWeightsFormat.DEFAULT:
        context.unsupported("shuffled weights", "convert the model again without weight shuffling")
    source, weights = context.input(operator, 0), context.constant_input(operator, 1)
    filters.check_tflite_filter(context, weights, rank=2)
    if attributes.keep_num_dims and len(source.shape) != 2:
        context.unsupported(
            f"keep_num_dims on an input of shape {source.shape}",
            "use a 1x1 convolution, which does the same for every pixel of a map",
        )
    if weights.quantization is not None and weights.quantization.zero_point != 0:
        context.unsupported("weights with a zero point", "convert the model again with symmetric weights")
    bias = context.bias_input(operator, 2, channels=weights.shape[0], filter_index=1)
    clamp = context.clamp(attributes.activation)
    context.add(operator, FullyConnected(clamp), [source.name, weights.name, bias.name])

# SPDX-License-Identifier: Apache-2.0
"""Batch normalization: at inference a factor and an offset per channel, which passes fold into convolutions."""

from __future__ import annotations

__all__ = ["import_onnx"]

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.ops.add import Add
from mcukit.ops.mul import Mul
from mcukit.ops.operator import onnx_operator

if TYPE_CHECKING:
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode


@onnx_operator("BatchNormalization")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    """y = scale * (x - mean) / sqrt(variance + epsilon) + offset becomes x * factor + rest."""
    node.allow("epsilon", "momentum", "training_mode")
    if node.integer("training_mode", 0):
        context.unsupported("training_mode=1", "export the model in evaluation mode")
    shape = context.shape(node.inputs[0])
    if len(shape) not in (2, 4) or shape[0] != 1:
        context.unsupported(f"an input of shape {shape}", "only (1, C, H, W) and (1, C) are supported")
    scale, offset, mean, variance = (_per_channel(context, value, shape[1]) for value in node.inputs[1:5])
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.real("epsilon", 1e-5))
        rest = offset - mean * factor
    if len(shape) == 4:
        source = context.nhwc(node.inputs[0])
    else:
        source, order = context.vector(node.inputs[0])
        factor[order], rest[order] = factor.copy(), rest.copy()
    broadcast = (1,) * (len(shape) - 1) + (shape[1],)
    operand = context.add_constant(node, "scale", factor.reshape(broadcast))
    product = context.add_intermediate(node, "scale", Mul(), [source.name, operand])
    operands = [product.name, context.add_constant(node, "offset", rest.reshape(broadcast))]
    if len(shape) == 4:
        context.add_nhwc(node, Add(), operands)
    else:
        context.add_vector(node, Add(), operands, order)


def _per_channel(context: OnnxContext, value: str, channels: int) -> npt.NDArray[np.float64]:
    array: npt.NDArray[np.float64] = context.constant(value).astype(np.float64)
    if array.shape != (channels,):
        context.invalid(f"'{value}' has shape {array.shape}, but there are {channels} channels")
    return array

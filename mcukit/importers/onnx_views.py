# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that only rearrange or rename a value: they change its view and leave nothing in the graph."""

from __future__ import annotations

__all__ = ["VIEWS"]

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mcukit.graph.validate import MAX_RANK
from mcukit.importers.onnx_context import OnnxContext, OnnxNode, View
from mcukit.ops.operator import OnnxImporter


def _same(context: OnnxContext, node: OnnxNode) -> None:
    """Dropout does nothing at inference."""
    if node.has_input(2) and (not context.is_constant(node.inputs[2]) or context.constant(node.inputs[2]).any()):
        context.unsupported("dropout in training mode", "export the model in evaluation mode")
    _set(context, node, _source(context, node))


def _transpose(context: OnnxContext, node: OnnxNode) -> None:
    source = _source(context, node)
    order = node.integers("perm", tuple(reversed(range(source.ndim))))
    if sorted(order) != list(range(source.ndim)):
        context.invalid(f"attribute 'perm' {order} does not order {source.ndim} dimensions")
    _set(context, node, source.transpose(order))


def _reshape(context: OnnxContext, node: OnnxNode) -> None:
    source = _source(context, node)
    wanted = list(_integers(context, node.inputs[1]))
    if not node.integer("allowzero", 0):
        wanted = [source.shape[axis] if size == 0 and axis < source.ndim else size for axis, size in enumerate(wanted)]
    known = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and known > 0:
        wanted[wanted.index(-1)] = source.size // known
    if len(wanted) > MAX_RANK or min(wanted, default=1) < 1 or math.prod(wanted) != source.size:
        context.invalid(f"a value of shape {source.shape} can't be reshaped to {wanted}")
    _set(context, node, source.reshape(wanted))


def _flatten(context: OnnxContext, node: OnnxNode) -> None:
    source = _source(context, node)
    axis = node.integer("axis", 1)
    if not -source.ndim <= axis <= source.ndim:
        context.invalid(f"attribute 'axis' is {axis} for {source.ndim} dimensions")
    axis += source.ndim if axis < 0 else 0
    _set(context, node, source.reshape(math.prod(source.shape[:axis]), math.prod(source.shape[axis:])))


def _squeeze(context: OnnxContext, node: OnnxNode) -> None:
    source = _source(context, node)
    axes = _axes(context, node, source.ndim)
    if axes is None:
        axes = {axis for axis, size in enumerate(source.shape) if size == 1}
    if any(source.shape[axis] != 1 for axis in axes):
        context.invalid(f"of shape {source.shape} it removes dimensions other than 1")
    _set(context, node, source.reshape([size for axis, size in enumerate(source.shape) if axis not in axes]))


def _unsqueeze(context: OnnxContext, node: OnnxNode) -> None:
    source = _source(context, node)
    count = _given_axes(context, node)
    rank = source.ndim + len(count or ())
    axes = _axes(context, node, rank)
    if not axes or rank > MAX_RANK:
        context.invalid("it names no axes, or too many")
    sizes = iter(source.shape)
    _set(context, node, source.reshape([1 if axis in axes else next(sizes) for axis in range(rank)]))


def _given_axes(context: OnnxContext, node: OnnxNode) -> tuple[int, ...] | None:
    """Axes as the file has them: an attribute before operator set 13, an input since."""
    if node.has_input(1):
        return _integers(context, node.inputs[1])
    return node.integers("axes", ()) if node.has("axes") else None


def _axes(context: OnnxContext, node: OnnxNode, rank: int) -> set[int] | None:
    given = _given_axes(context, node)
    if given is None:
        return None
    axes = {axis + rank if axis < 0 else axis for axis in given}
    if len(axes) != len(given) or not all(0 <= axis < rank for axis in axes):
        context.invalid(f"axes {given} don't fit {rank} dimensions")
    return axes


def _integers(context: OnnxContext, value: str) -> tuple[int, ...]:
    """A constant list of sizes or axes, cut off where it is too long to be either."""
    array = context.constant(value)
    if not np.issubdtype(array.dtype, np.integer):
        context.invalid(f"'{value}' does not hold integers")
    return tuple(int(number) for number in array.ravel()[: MAX_RANK + 1])


def _source(context: OnnxContext, node: OnnxNode) -> npt.NDArray[Any]:
    """The array of a constant, or the index of a map: both are rearranged in the same way."""
    value = node.inputs[0]
    return context.constant(value) if context.is_constant(value) else context.view(value).index


def _set(context: OnnxContext, node: OnnxNode, rearranged: npt.NDArray[Any]) -> None:
    value = node.inputs[0]
    if context.is_constant(value):
        context.set_constant(node.outputs[0], np.asarray(rearranged))
    else:
        context.set_view(node.outputs[0], View(context.view(value).tensor, rearranged))


VIEWS: dict[str, OnnxImporter] = {
    "Dropout": _same,
    "Flatten": _flatten,
    "Identity": _same,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Importers by operator type."""

# SPDX-License-Identifier: Apache-2.0
"""ONNX's ways to describe a sliding window, as a Window with explicit pads."""

from __future__ import annotations

__all__ = ["onnx_window"]

from typing import TYPE_CHECKING, NoReturn

from mcukit.errors import McukitError
from mcukit.graph.graph import Tensor
from mcukit.ops.window import Window

if TYPE_CHECKING:
    from mcukit.importers.onnx_context import OnnxNode

_LIMIT = 1 << 15
"""No kernel, stride, dilation or padding is larger; keeps sums of them far from overflow."""


def onnx_window(node: OnnxNode, source: Tensor, kernel: tuple[int, int]) -> Window:
    """The window of a Conv or pooling node over an NHWC map.

    Raises McukitError "invalid-model" or "unsupported-attribute".
    """
    kernel = _pair(node, "kernel", kernel)
    declared = node.integers("kernel_shape", kernel)
    if declared != kernel:
        _refuse(node, f"kernel_shape is {declared}, but the weights are {kernel[0]}x{kernel[1]}")
    stride = _pair(node, "strides", node.integers("strides", (1, 1)))
    dilation = _pair(node, "dilations", node.integers("dilations", (1, 1)))
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad == "NOTSET":
        window = Window(kernel, stride, dilation, _pads(node))
    elif auto_pad == "VALID":
        window = Window(kernel, stride, dilation)
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        window = Window(kernel, stride, dilation)
        top, left, bottom, right = window.same_pads(source.shape[1], source.shape[2])
        pads = (top, left, bottom, right) if auto_pad == "SAME_UPPER" else (bottom, right, top, left)
        window = Window(kernel, stride, dilation, pads)
    else:
        _refuse_attribute(node, f"attribute 'auto_pad' is '{auto_pad}'")
    return _ceil(window, source) if node.integer("ceil_mode", 0) else window


def _ceil(window: Window, source: Tensor) -> Window:
    """The window with enough pads at the end that no input is left out, but no tap starts in those pads."""
    end = []
    for axis in range(2):
        size, before, after = source.shape[1 + axis], window.pads[axis], window.pads[axis + 2]
        outputs = -(-(size + before + after - window.span(axis)) // window.stride[axis]) + 1
        if (outputs - 1) * window.stride[axis] >= size + before:
            outputs -= 1
        needed = (outputs - 1) * window.stride[axis] + window.span(axis) - size - before
        end.append(max(after, needed))
    return Window(window.kernel, window.stride, window.dilation, (*window.pads[:2], end[0], end[1]))


def _pads(node: OnnxNode) -> tuple[int, int, int, int]:
    pads = node.integers("pads", (0, 0, 0, 0))
    if len(pads) != 4 or max(pads) > _LIMIT:
        _refuse(node, f"attribute 'pads' is {pads}")
    if min(pads) < 0:
        _refuse_attribute(node, f"attribute 'pads' is {pads}: negative pads crop")
    return pads[0], pads[1], pads[2], pads[3]


def _pair(node: OnnxNode, name: str, values: tuple[int, ...]) -> tuple[int, int]:
    if len(values) != 2 or min(values) < 1 or max(values) > _LIMIT:
        _refuse(node, f"'{name}' is {values}, expected two positive sizes")
    return values[0], values[1]


def _refuse(node: OnnxNode, message: str) -> NoReturn:
    raise McukitError("invalid-model", message, where=node.where, hint="export the model again")


def _refuse_attribute(node: OnnxNode, message: str) -> NoReturn:
    hint = "export the model with explicit pads that are not negative"
    raise McukitError("unsupported-attribute", message, where=node.where, hint=hint)

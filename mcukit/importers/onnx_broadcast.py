# SPDX-License-Identifier: Apache-2.0
"""Index arrays: where the elements of an ONNX value lie in a physical tensor.

An index array has the shape of the ONNX value; each entry is the flat offset of that element in the tensor. Transposes
and reshapes only rearrange it. These functions answer the questions that importing operators raise.
"""

from __future__ import annotations

__all__ = ["IndexArray", "Offsets", "broadcast_order", "same_index"]

import math

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Shape

IndexArray = npt.NDArray[np.int32]


class Offsets:
    """Hands out index arrays that share one block of memory."""

    def __init__(self) -> None:
        self._all: IndexArray = np.arange(0, dtype=np.int32)

    def plain(self, shape: Shape) -> IndexArray:
        """The index of a value that lies in memory in its own order."""
        elements = math.prod(shape)
        if elements > self._all.size:
            self._all = np.arange(max(elements, 2 * self._all.size), dtype=np.int32)
            self._all.flags.writeable = False
        return self._all[:elements].reshape(shape)

    def nchw(self, height: int, width: int, channels: int) -> IndexArray:
        """The index of an NCHW value, batch 1, that lies in memory as NHWC."""
        return self.plain((1, height, width, channels)).transpose(0, 3, 1, 2)


def same_index(a: IndexArray, b: IndexArray) -> bool:
    """Whether two index arrays are equal; instant where they are views of the same memory."""
    if a.shape != b.shape:
        return False
    if a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]:
        return True
    return bool(np.array_equal(a, b))


def broadcast_order(small: IndexArray, large: IndexArray, physical: Shape) -> IndexArray | None:
    """How the operand `small` has to lie in memory to broadcast against `large` there as it does in ONNX.

    small: index of an operand that broadcasts to the shape of `large`. large: index of a value in a tensor of shape
    `physical`. Returns offsets into the small operand; the array has the rank of `physical` and size 1 along each axis
    that is broadcast. None if no such arrangement exists.
    """
    order = _in_memory_order(np.broadcast_to(small, large.shape), large).reshape(physical)
    for axis in range(order.ndim):
        first = order[(slice(None),) * axis + (slice(0, 1),)]
        if order.strides[axis] == 0 or bool((order == first).all()):
            order = first
    return np.ascontiguousarray(order) if order.size == small.size else None


def _in_memory_order(values: IndexArray, index: IndexArray) -> IndexArray:
    """`values`, one per entry of `index`, in the order of the offsets in `index`."""
    axes = np.argsort([-stride for stride in index.strides], kind="stable")
    plain = index.transpose(axes).reshape(-1)
    if np.array_equal(plain, np.arange(plain.size, dtype=np.int32)):
        # Almost always: a transpose that copies nothing.
        return values.transpose(axes)
    ordered = np.empty(index.size, np.int32)
    ordered[index.ravel()] = values.ravel()
    return ordered

# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: the geometry that convolutions and pooling share."""

from __future__ import annotations

__all__ = ["Window"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Kernel geometry; every pair is (rows, columns), pads are (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def span(self, axis: int) -> int:
        """Input rows (axis 0) or columns (axis 1) from the first tap to the last."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def output_size(self, size: int, axis: int) -> int:
        """Output rows or columns for `size` input rows or columns; not positive if the kernel does not fit."""
        padded = size + self.pads[axis] + self.pads[axis + 2]
        return (padded - self.span(axis)) // self.stride[axis] + 1

    def input_range(self, first: int, last: int, size: int, axis: int = 0) -> tuple[int, int]:
        """Input rows [a, b) that output rows [first, last) read, clipped to the `size` rows that exist."""
        start = first * self.stride[axis] - self.pads[axis]
        stop = (last - 1) * self.stride[axis] - self.pads[axis] + self.span(axis)
        return min(max(start, 0), size), max(min(stop, size), 0)

    def is_valid(self) -> bool:
        """Whether no padding is used: TFLite's VALID."""
        return not any(self.pads)

    def is_same(self, height: int, width: int) -> bool:
        """Whether the pads are those of TFLite's SAME for this input size."""
        return self.pads == self.same_pads(height, width)

    def same_pads(self, height: int, width: int) -> tuple[int, int, int, int]:
        """TFLite's SAME: ceil(size / stride) outputs, the odd row or column of padding at the end."""
        before, after = [], []
        for axis, size in enumerate((height, width)):
            outputs = -(-size // self.stride[axis])
            total = max((outputs - 1) * self.stride[axis] + self.span(axis) - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return before[0], before[1], after[0], after[1]

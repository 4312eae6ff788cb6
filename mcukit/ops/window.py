# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: the geometry that convolutions and pooling share."""

from __future__ import annotations

__all__ = ["Window", "padding_around"]

from dataclasses import dataclass, replace

from mcukit.graph.region import Region


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
        """Input rows [a, b) that output rows [first, last) read, clipped to the `size` rows that exist.

        Empty (a == b) where they lie in padding altogether.
        """
        start, stop = self.reach(first, last, axis)
        return min(max(start, 0), size), max(min(stop, size), 0)

    def reach(self, first: int, last: int, axis: int = 0) -> tuple[int, int]:
        """Input rows [start, stop) from the first tap of output rows [first, last) to the last, in padding too."""
        start = first * self.stride[axis] - self.pads[axis]
        return start, start + (last - 1 - first) * self.stride[axis] + self.span(axis)

    def crop(self, output: Region, source: Region) -> Window:
        """The window that computes the part `output` of its map from the part `source` of the input, held alone.

        source: what `input_range` gives for rows and columns. Raises ValueError where it is another part.
        """
        rows, columns = (output.first_row, output.last_row), (output.first_column, output.last_column)
        top, bottom = padding_around(self.reach(*rows, 0), (source.first_row, source.last_row))
        left, right = padding_around(self.reach(*columns, 1), (source.first_column, source.last_column))
        return replace(self, pads=(top, left, bottom, right))

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


def padding_around(wanted: tuple[int, int], held: tuple[int, int]) -> tuple[int, int]:
    """Padding (before, after) that makes the rows `wanted` of the rows `held`; with none held all of it is padding.

    Both are [first, last) rows, or columns, of one map. Raises ValueError where `held` is more than `wanted`, or begins
    later although the map has what comes before.
    """
    if held[0] >= held[1]:
        return wanted[1] - wanted[0], 0
    if held[0] != max(wanted[0], 0) or held[1] > wanted[1]:
        raise ValueError(f"rows or columns {held} are not those that the map has of {wanted}")
    return held[0] - wanted[0], wanted[1] - held[1]

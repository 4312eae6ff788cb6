# SPDX-License-Identifier: Apache-2.0
"""Rectangles of feature maps."""

from __future__ import annotations

__all__ = ["Region", "whole_region"]

from dataclasses import dataclass

from mcukit.graph.graph import Tensor, map_shape


@dataclass(frozen=True)
class Region:
    """Rows [first_row, last_row) and columns [first_column, last_column) of a map, every channel of them."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int

    @property
    def rows(self) -> int:
        return max(self.last_row - self.first_row, 0)

    @property
    def columns(self) -> int:
        return max(self.last_column - self.first_column, 0)

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    def hull(self, other: Region) -> Region:
        """The smallest region that contains both; an empty one adds nothing."""
        if not self.pixels:
            return other
        if not other.pixels:
            return self
        return Region(
            min(self.first_row, other.first_row),
            max(self.last_row, other.last_row),
            min(self.first_column, other.first_column),
            max(self.last_column, other.last_column),
        )


def whole_region(tensor: Tensor) -> Region:
    """All of a map."""
    height, width, _ = map_shape(tensor.shape)
    return Region(0, height, 0, width)

# SPDX-License-Identifier: Apache-2.0
"""A map as the ground of a picture: regions of it as rectangles."""

from __future__ import annotations

__all__ = ["MapCanvas", "Rectangle"]

from dataclasses import dataclass

from mcukit.graph.region import Region

_MARGIN = 1.0


@dataclass(frozen=True)
class Rectangle:
    """In the units of the picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class MapCanvas:
    """whole: all pixels of the map. longest, shortest: units that its sides have at most and at least."""

    whole: Region
    longest: float
    shortest: float

    @property
    def width(self) -> float:
        return self.whole.columns * self._units[1] + 2 * _MARGIN

    @property
    def height(self) -> float:
        return self.whole.rows * self._units[0] + 2 * _MARGIN

    def rectangle(self, region: Region) -> Rectangle:
        high, wide = self._units
        return Rectangle(
            _MARGIN + region.first_column * wide,
            _MARGIN + region.first_row * high,
            region.columns * wide,
            region.rows * high,
        )

    @property
    def _units(self) -> tuple[float, float]:
        """Height and width of a pixel: as much for both unless that would make one side of the map too short."""
        unit = (self.longest - 2 * _MARGIN) / max(self.whole.rows, self.whole.columns)
        return max(unit, self.shortest / self.whole.rows), max(unit, self.shortest / self.whole.columns)

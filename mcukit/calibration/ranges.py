# SPDX-License-Identifier: Apache-2.0
"""From statistics to ranges: which real values an 8-bit map can express."""

from __future__ import annotations

__all__ = [
    "DEFAULT_RANGES",
    "MAP_BY_MAP",
    "MAP_RANGE_METHODS",
    "OUTPUT_ERROR",
    "RANGE_METHODS",
    "Range",
    "choose_range",
    "quantization_of",
]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Quantization

Float64Array = npt.NDArray[np.float64]

SMALLEST_SPAN = 1e-6
"""A map that is constant zero still needs a scale."""

CLIPPED_TAILS = {8: 1e-4, 4: 1e-3, 2: 1e-2}
"""By bits: the share of values that percentile ranges leave out, half of it at each end; fewer steps cost more each."""


@dataclass(frozen=True)
class Range:
    """Real values from minimum to maximum; zero lies between them."""

    minimum: float
    maximum: float

    @classmethod
    def around_zero(cls, minimum: float, maximum: float) -> Range:
        """The smallest range that holds both values and zero."""
        low, high = min(minimum, 0.0), max(maximum, 0.0)
        return cls(low, high) if high - low >= SMALLEST_SPAN else cls(low, low + SMALLEST_SPAN)

    def union(self, other: Range) -> Range:
        return Range(min(self.minimum, other.minimum), max(self.maximum, other.maximum))

    def clipped(self, low: float, high: float) -> Range:
        """The part inside [low, high], as an operator that can't leave these limits needs it."""
        return Range.around_zero(max(self.minimum, low), min(self.maximum, high))


def quantization_of(span: Range, bits: int = 8) -> Quantization:
    """Scale and zero point of a range: the zero point is moved to the nearest integer, so that 0.0 is exact."""
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    scale = np.float32((span.maximum - span.minimum) / (highest - lowest))
    zero_point = round(lowest - span.minimum / float(scale))
    return Quantization.per_tensor(float(scale), min(max(zero_point, lowest), highest), bits)


def _min_max(statistics: MapStatistics, bits: int = 8) -> Range:  # noqa: ARG001
    return Range.around_zero(statistics.minimum, statistics.maximum)


def _percentile(statistics: MapStatistics, bits: int = 8) -> Range:
    tail = CLIPPED_TAILS[bits]
    cumulative = np.cumsum(statistics.counts) / max(int(statistics.counts.sum()), 1)
    first = int(np.searchsorted(cumulative, tail / 2, side="right"))
    last = int(np.searchsorted(cumulative, 1 - tail / 2, side="left"))
    low = statistics.minimum + first * statistics.bin_width
    high = statistics.minimum + min(last + 1, statistics.counts.size) * statistics.bin_width
    return Range.around_zero(low, high)


def _mean_squared_error(statistics: MapStatistics, bits: int = 8) -> Range:
    """The shrunken range with the least expected squared error: rounding inside, clipping outside.

    Both ends shrink on a grid of their own, down to a third of the whole, or to a twentieth with fewer than 8 bits.
    """
    whole = _min_max(statistics)
    centres, weights = statistics.centres(), statistics.counts.astype(np.float64)
    weights = weights / max(weights.sum(), 1.0)
    steps = np.linspace(1.0, 0.34, 45) if bits == 8 else np.linspace(1.0, 0.05, 58)
    expected = _error_of_steps if bits == 8 else _error_of_grid
    best, best_error = whole, np.inf
    high = whole.maximum
    for side in ("maximum", "minimum"):
        start = best
        for step in steps:
            low = start.minimum * step if side == "minimum" else start.minimum
            high = start.maximum * step if side == "maximum" else start.maximum
            if high - low < SMALLEST_SPAN:
                continue
            error = expected(centres, weights, Range(low, high), bits)
            if error < best_error:
                best, best_error = Range(low, high), error
    return best


def _error_of_steps(centres: Float64Array, weights: Float64Array, span: Range, bits: int) -> float:
    """As if rounding errors were spread evenly over a step, which is true of small steps."""
    width = (span.maximum - span.minimum) / ((1 << bits) - 1)
    outside = np.maximum(span.minimum - centres, 0.0) + np.maximum(centres - span.maximum, 0.0)
    return float(np.dot(weights, outside**2) + np.dot(weights, outside == 0.0) * width**2 / 12)


def _error_of_grid(centres: Float64Array, weights: Float64Array, span: Range, bits: int) -> float:
    """Of the very values that a range is quantized to; with few bits, rounding the zero point counts too."""
    grid = quantization_of(span, bits)
    integers = np.rint(centres / grid.tensor_scale) + grid.zero_point
    real = (np.clip(integers, grid.minimum, grid.maximum) - grid.zero_point) * grid.tensor_scale
    return float(np.dot(weights, (real - centres) ** 2))


MAP_RANGE_METHODS: dict[str, Callable[[MapStatistics, int], Range]] = {
    "min-max": _min_max,
    "percentile": _percentile,
    "mse": _mean_squared_error,
}
"""Methods that look at one map alone; the number of bits is what the range is for."""

OUTPUT_ERROR = "output-error"
"""Whichever of these does least harm at the network's output: mcukit.repair.calibrated."""

MAP_BY_MAP = "map-by-map"
"""For each map the range that does least harm at the network's output: mcukit.repair.map_ranges."""

RANGE_METHODS: tuple[str, ...] = (OUTPUT_ERROR, MAP_BY_MAP, *MAP_RANGE_METHODS)

DEFAULT_RANGES = OUTPUT_ERROR


def choose_range(statistics: MapStatistics, method: str, bits: int = 8) -> Range:
    """The range of one map of so many bits; method is a key of MAP_RANGE_METHODS."""
    return MAP_RANGE_METHODS[method](statistics, bits)

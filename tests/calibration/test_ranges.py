# SPDX-License-Identifier: Apache-2.0
"""Ranges from statistics, and scales from ranges."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.ranges import (
    DEFAULT_RANGES,
    MAP_RANGE_METHODS,
    RANGE_METHODS,
    SMALLEST_SPAN,
    Range,
    choose_range,
    quantization_of,
)
from mcukit.calibration.statistics import BINS, MapStatistics


def statistics(values: np.ndarray) -> MapStatistics:
    low, high = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, BINS, (low, high if high > low else low + 1))
    return MapStatistics(low, high, counts.astype(np.int64), np.zeros(1, np.float32))


def with_outliers() -> np.ndarray:
    values = np.random.default_rng(6).normal(size=100_000)
    values[:2] = -60.0, 60.0
    return values


def test_the_default_is_one_of_the_methods() -> None:
    assert DEFAULT_RANGES in RANGE_METHODS
    assert set(MAP_RANGE_METHODS) < set(RANGE_METHODS)


@pytest.mark.parametrize("method", MAP_RANGE_METHODS)
@pytest.mark.parametrize("values", [np.zeros(9), np.full(9, 3.0), np.full(9, -3.0), with_outliers()])
def test_ranges_hold_zero_and_have_a_width(method: str, values: np.ndarray) -> None:
    span = choose_range(statistics(values), method)
    assert span.minimum <= 0.0 <= span.maximum
    assert span.maximum - span.minimum >= SMALLEST_SPAN


def test_min_max_keeps_outliers_and_the_others_do_not() -> None:
    widths = {}
    for method in MAP_RANGE_METHODS:
        span = choose_range(statistics(with_outliers()), method)
        widths[method] = span.maximum - span.minimum
    assert widths["min-max"] == pytest.approx(120.0)
    assert widths["percentile"] < 12.0
    assert widths["percentile"] < widths["mse"] < 100.0


@pytest.mark.parametrize(
    ("span", "scale", "zero_point"),
    [(Range(0.0, 255.0), 1.0, -128), (Range(-128.0, 127.0), 1.0, 0), (Range(-255.0, 0.0), 1.0, 127)],
)
def test_scale_and_zero_point(span: Range, scale: float, zero_point: int) -> None:
    found = quantization_of(span)
    assert found.tensor_scale == scale
    assert found.zero_point == zero_point


@pytest.mark.parametrize("bits", [4, 2])
def test_few_bits_get_a_range_of_their_own(bits: int) -> None:
    values = np.abs(np.random.default_rng(8).normal(size=100_000))

    def error(span: Range) -> float:
        grid = quantization_of(span, bits)
        return float(np.square(grid.dequantize(grid.quantize(values)) - values).mean())

    found = error(choose_range(statistics(values), "mse", bits))
    assert found < error(choose_range(statistics(values), "mse"))
    assert found < error(choose_range(statistics(values), "min-max")) / 2
    # Nothing on a finer grid of maxima is much better.
    assert found <= 1.02 * min(error(Range(0.0, high)) for high in np.linspace(0.2, values.max(), 400))

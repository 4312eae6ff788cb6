# SPDX-License-Identifier: Apache-2.0
"""Entropies of maps, before and after quantization, against values themselves."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import Range, choose_range
from mcukit.calibration.statistics import BINS, MapStatistics, collect_statistics
from mcukit.precision.entropy import (
    ENTROPY_BINS,
    clipped_histogram,
    entropy_of,
    group_entropies,
    quantized_histogram,
)
from mcukit.quantized.precision import widest_choice
from tests.float_networks import classifier, images


def statistics(values: np.ndarray) -> MapStatistics:
    low, high = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, BINS, (low, high if high > low else low + 1))
    return MapStatistics(low, high, counts.astype(np.int64), np.zeros(1, np.float32))


def test_entropy_of_known_distributions() -> None:
    assert entropy_of(np.full(256, 3.0)) == pytest.approx(8.0)
    assert entropy_of(np.array([1.0, 1.0, 2.0])) == pytest.approx(1.5)
    assert entropy_of(np.array([0.0, 7.0])) == 0.0
    assert entropy_of(np.zeros(4)) == 0.0


def test_the_histogram_is_that_of_the_values() -> None:
    values = np.random.default_rng(1).normal(size=200_000)
    span = Range(-2.0, 3.0)
    expected, _ = np.histogram(np.clip(values, -2.0, 3.0), ENTROPY_BINS, (-2.0, 3.0))
    found = clipped_histogram(statistics(values), span)

    assert found.sum() == pytest.approx(values.size)
    assert entropy_of(found) == pytest.approx(entropy_of(expected.astype(float)), abs=0.02)
    # What is clipped counts at the ends.
    assert found[0] == pytest.approx(expected[0], rel=0.02)
    assert expected[0] > 10 * expected[1]


@pytest.mark.parametrize(("value", "position"), [(0.5, 128), (-3.0, 0), (9.0, 255), (1.0, 255)])
def test_a_constant_map_fills_one_bin(value: float, position: int) -> None:
    found = clipped_histogram(statistics(np.full(10, value)), Range(0.0, 1.0))
    assert found[position] == found.sum() == 10


def test_eight_bits_keep_every_bin_and_fewer_merge_neighbours() -> None:
    histogram = np.random.default_rng(2).random(ENTROPY_BINS)
    assert np.array_equal(quantized_histogram(histogram, 8), histogram)
    for bits in (4, 2):
        merged = quantized_histogram(histogram, bits)
        assert merged.size == 1 << bits
        assert merged.sum() == pytest.approx(histogram.sum())
    # The ends stand for half a step.
    assert quantized_histogram(np.ones(ENTROPY_BINS), 2).tolist() == [43, 85, 85, 43]


def test_few_bits_lose_more_and_eight_nothing() -> None:
    graph = classifier()
    found = collect_statistics(FloatModel(graph), images())
    ranges = {name: choose_range(item, "min-max") for name, item in found.items()}
    entropies = group_entropies(graph, found, ranges)

    assert entropies.keys() == widest_choice(graph).keys()
    for item in entropies.values():
        assert item.loss(8) == 0.0
        assert 0.0 < item.loss(4) <= item.loss(2) <= 1.0
        assert item.quantized[2] <= 2.0
    assert entropies["conv2d0"].loss(4) < entropies["conv2d0"].loss(2)
    constant = {name: MapStatistics(0.0, 0.0, item.counts, item.mean) for name, item in found.items()}
    assert group_entropies(graph, constant, ranges)["conv2d0"].loss(2) == 0.0

# SPDX-License-Identifier: Apache-2.0
"""Statistics of maps against NumPy over all values at once."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import BINS, collect_statistics
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.fully_connected import FullyConnected

IMAGES = np.random.default_rng(5).normal(size=(37, 3, 5, 2)).astype(np.float32)


def network(weight: float = 1.0) -> Graph:
    tensors = {
        "x": Tensor("x", (1, 3, 5, 2)),
        "w": Tensor("w", (4, 30), np.full((4, 30), weight, np.float32)),
        "b": Tensor("b", (4,), np.arange(4, dtype=np.float32)),
        "y": Tensor("y", (1, 4)),
    }
    return Graph("sums", tensors, (Node("sum", FullyConnected(), ("x", "w", "b"), "y"),), ("x",), ("y",))


def test_extremes_histogram_and_mean() -> None:
    found = collect_statistics(FloatModel(network()), IMAGES)
    sums = IMAGES.reshape(37, -1).sum(axis=1, dtype=np.float64)[:, np.newaxis] + np.arange(4)
    for name, values in {"x": IMAGES, "y": sums}.items():
        item = found[name]
        assert item.minimum == pytest.approx(values.min(), rel=1e-5)
        assert item.maximum == pytest.approx(values.max(), rel=1e-5)
        assert item.counts.size == BINS
        assert item.counts.sum() == values.size
        assert item.mean.shape == values.shape[1:]
        np.testing.assert_allclose(item.mean, values.mean(axis=0), atol=1e-5)
        assert np.dot(item.counts, item.centres()) / values.size == pytest.approx(values.mean(), abs=item.bin_width)


def test_progress_counts_both_passes() -> None:
    seen: list[tuple[int, int]] = []
    collect_statistics(FloatModel(network()), IMAGES, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (74, 74)


def test_infinities_are_refused() -> None:
    with pytest.raises(McukitError) as caught:
        collect_statistics(FloatModel(network(3e38)), np.abs(IMAGES) + 10)
    assert caught.value.problems[0].code == "non-finite-values"

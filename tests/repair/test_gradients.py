# SPDX-License-Identifier: Apache-2.0
"""Every operator backwards against differences of the operator forwards.

All operators are linear in each operand, or nearly so, and values are small integers, so that differences are exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mcukit.ops.window import Window
from mcukit.repair import gradients

POINT = Window((1, 1))
SAME = Window((3, 3), pads=(1, 1, 1, 1))
UNEVEN = Window((3, 2), stride=(2, 1), pads=(0, 1, 1, 0))
DILATED = Window((2, 2), dilation=(2, 1))
HALVES = Window((2, 2), stride=(2, 2))
STEP = 0.25
"""Too small to change which value is the largest."""

FILTERS: dict[str, tuple[str, Window, tuple[int, ...], int]] = {
    "pointwise": ("conv", POINT, (5, 1, 1, 4), 1),
    "strided pointwise": ("conv", Window((1, 1), stride=(2, 2)), (3, 1, 1, 4), 1),
    "padded": ("conv", SAME, (3, 3, 3, 4), 1),
    "uneven": ("conv", UNEVEN, (3, 3, 2, 4), 1),
    "dilated": ("conv", DILATED, (2, 2, 2, 4), 1),
    "groups": ("conv", SAME, (6, 3, 3, 2), 2),
    "depthwise": ("depthwise", SAME, (1, 3, 3, 4), 1),
    "depthwise, uneven": ("depthwise", UNEVEN, (1, 3, 2, 4), 1),
    "depthwise, multiplier 2": ("depthwise", DILATED, (1, 2, 2, 8), 1),
}

POOLS = {
    "average": (gradients.average_pool, gradients.average_pool_backward, HALVES),
    "maximum": (gradients.max_pool, gradients.max_pool_backward, HALVES),
    "maximum, overlapping": (gradients.max_pool, gradients.max_pool_backward, UNEVEN),
}


def integers(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


def different(*shape: int) -> np.ndarray:
    """No two values are the same."""
    return np.random.default_rng(2).permutation(int(np.prod(shape))).reshape(shape).astype(np.float32)


def differences(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The gradient of the sum of the function's values times `weights`, place by place."""
    found = np.empty_like(at)
    for place in np.ndindex(at.shape):
        ahead, behind = at.copy(), at.copy()
        ahead[place] += STEP
        behind[place] -= STEP
        found[place] = ((function(ahead) - function(behind)) * weights).sum() / (2 * STEP)
    return found


@pytest.mark.parametrize("case", FILTERS)
def test_filters(case: str) -> None:
    kind, window, shape, groups = FILTERS[case]
    source, weights = integers(6, 5, 2, 4), integers(*shape, seed=3)
    extra = (groups,) if kind == "conv" else ()
    forward = gradients.convolve if kind == "conv" else gradients.convolve_depthwise
    backward = gradients.convolve_backward if kind == "conv" else gradients.convolve_depthwise_backward
    slope = integers(*forward(source, weights, window, *extra).shape, seed=4)
    by_source, by_weights = backward(source, weights, window, slope, *extra)
    assert np.array_equal(by_source, differences(lambda x: forward(x, weights, window, *extra), source, slope))
    assert np.array_equal(by_weights, differences(lambda w: forward(source, w, window, *extra), weights, slope))
    nothing, same = backward(source, weights, window, slope, *extra, source_needed=False)
    assert nothing is None
    assert np.array_equal(same, by_weights)


@pytest.mark.parametrize("case", POOLS)
def test_pools(case: str) -> None:
    forward, backward, window = POOLS[case]
    source = different(6, 4, 2, 3)
    slope = 4 * integers(*forward(source, window).shape)
    assert np.array_equal(backward(source, window, slope), differences(lambda x: forward(x, window), source, slope))


def test_an_average_counts_pixels_that_exist() -> None:
    source, window = integers(3, 3, 1, 2), Window((2, 2), pads=(1, 1, 0, 0))
    found = gradients.average_pool(source, window)
    assert np.array_equal(found[0, 0], source[0, 0])
    assert np.array_equal(found[1, 1], source[:2, :2].sum(axis=(0, 1)) / 4)
    slope = 4 * integers(*found.shape)
    by_source = gradients.average_pool_backward(source, window, slope)
    assert np.array_equal(by_source, differences(lambda x: gradients.average_pool(x, window), source, slope))


def test_a_reshape_keeps_the_order_of_memory() -> None:
    source = different(2, 3, 5, 4)
    vector = gradients.reshape_map(source, (1, 1, 24))
    assert np.array_equal(vector[0, 0, 1], source[:, :, 1].reshape(-1))
    assert np.array_equal(gradients.reshape_map(vector, (2, 3, 4)), source)

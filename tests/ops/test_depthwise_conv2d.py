# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution: kernels, strides, dilation, pads, several filters per channel, every channel tail."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.activation import RELU, RELU6, UNBOUNDED, Clamp
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.window import Window
from tests.ops.harness import Case, check


def depthwise(
    height: int, width: int, channels: int, window: Window, multiplier: int = 1, seed: int = 0, clamp: Clamp = UNBOUNDED
) -> Case:
    filters = channels * multiplier
    constants = ((1, *window.kernel, filters), (filters,))
    return Case(DepthwiseConv2d(window, clamp), ((1, height, width, channels),), constants, seed)


SAME3 = Window((3, 3), pads=(1, 1, 1, 1))
CHANNEL_TAILS = tuple(depthwise(4, 5, c, SAME3, seed=c) for c in range(1, 10))
KERNELS = tuple(
    depthwise(9, 11, 3, Window((k, m), pads=(k // 2, m // 2, k // 2, m // 2)))
    for k, m in ((1, 1), (1, 3), (5, 5), (7, 7), (2, 2), (10, 4))
)
GEOMETRY = (
    depthwise(8, 8, 4, Window((3, 3), (2, 2), pads=(0, 0, 1, 1))),
    depthwise(7, 9, 4, Window((3, 3), (2, 2), pads=(1, 1, 1, 1))),
    depthwise(9, 9, 3, Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2))),
    depthwise(9, 8, 3, Window((3, 3), (2, 1), (1, 3), (0, 3, 1, 2))),
    depthwise(1, 1, 5, SAME3),
    depthwise(3, 3, 5, Window((3, 3))),
)
MULTIPLIERS = (depthwise(5, 5, 3, SAME3, 2), depthwise(5, 5, 3, SAME3, 3), depthwise(6, 6, 1, SAME3, 8))
CLAMPS = (depthwise(5, 5, 4, SAME3, clamp=RELU), depthwise(5, 5, 4, SAME3, clamp=RELU6))
CASES = CHANNEL_TAILS + KERNELS + GEOMETRY + MULTIPLIERS + CLAMPS


def test_bytes_agree(tmp_path: Path) -> None:
    check(CASES, tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Convolution: kernels, strides, dilation, asymmetric pads, groups, odd sizes, every channel tail."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, UNBOUNDED, Clamp
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.window import Window
from tests.ops.harness import Case, check


def conv(
    height: int,
    width: int,
    channels: int,
    filters: int,
    window: Window,
    groups: int = 1,
    seed: int = 0,
    clamp: Clamp = UNBOUNDED,
) -> Case:
    kernel = (filters, *window.kernel, channels // groups)
    return Case(Conv2d(window, groups, clamp), ((1, height, width, channels),), (kernel, (filters,)), seed)


CHANNEL_TAILS = tuple(conv(3, 5, c, 10 - c, Window((1, 1)), seed=c) for c in range(1, 10))
KERNELS = tuple(
    conv(9, 11, 3, 4, Window((k, m), pads=(k // 2, m // 2, k // 2, m // 2)))
    for k, m in ((1, 3), (3, 1), (3, 3), (5, 5), (7, 7), (2, 2), (10, 4))
)
GEOMETRY = (
    conv(8, 8, 3, 8, Window((3, 3), (2, 2), pads=(0, 0, 1, 1))),
    conv(7, 9, 3, 8, Window((3, 3), (2, 2), pads=(1, 1, 1, 1))),
    conv(7, 7, 4, 5, Window((1, 1), (2, 2))),
    conv(7, 7, 4, 5, Window((1, 1), (3, 2), pads=(1, 0, 0, 2))),
    conv(9, 9, 2, 3, Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2))),
    conv(9, 9, 2, 3, Window((3, 3), (2, 1), (1, 3), (0, 3, 1, 2))),
    conv(1, 1, 5, 3, Window((3, 3), pads=(1, 1, 1, 1))),
    conv(1, 9, 5, 3, Window((1, 3), pads=(0, 2, 0, 0))),
    conv(4, 4, 3, 2, Window((4, 4))),
    conv(4, 4, 3, 2, Window((2, 2), pads=(3, 3, 3, 3))),
)
GROUPS = (
    conv(5, 5, 4, 6, Window((3, 3), pads=(1, 1, 1, 1)), groups=2),
    conv(5, 4, 6, 3, Window((1, 1)), groups=3),
    conv(5, 5, 8, 8, Window((3, 3), (2, 2)), groups=4),
)
CLAMPS = tuple(
    conv(5, 5, 3, 4, Window((3, 3), pads=(1, 1, 1, 1)), seed=s, clamp=clamp)
    for s, clamp in enumerate((RELU, RELU6, RELU_N1_TO_1))
)
CASES = CHANNEL_TAILS + KERNELS + GEOMETRY + GROUPS + CLAMPS


def test_bytes_agree(tmp_path: Path) -> None:
    check(CASES, tmp_path)

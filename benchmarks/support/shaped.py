# SPDX-License-Identifier: Apache-2.0
"""A single operator on maps of given shapes and bits, to be measured."""

from __future__ import annotations

__all__ = ["SAME_3X3", "Shaped", "conv", "depthwise", "fully_connected"]

from dataclasses import dataclass

import numpy as np

from mcukit.graph.graph import Shape
from mcukit.ops.activation import RELU, RELU6, UNBOUNDED, Clamp
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.operator import Operator
from mcukit.ops.window import Window

SAME_3X3 = (1, 1, 1, 1)
"""The pads of a 3x3 window under which a map keeps its size."""


@dataclass(frozen=True)
class Shaped:
    """An operator on maps of the given shapes; constants follow the maps among its inputs.

    bits: of the maps that it reads, of the one that it computes, and of its weights. later_bits: of the maps that it
    reads behind the first one, where they differ from its bits.
    """

    operator: Operator
    maps: tuple[Shape, ...]
    constants: tuple[Shape, ...] = ()
    bits: tuple[int, int, int] = (8, 8, 8)
    later_bits: int | None = None

    @property
    def map_bits(self) -> tuple[int, ...]:
        """Bits of each map that it reads."""
        later = self.bits[0] if self.later_bits is None else self.later_bits
        return (self.bits[0], *(later for _ in self.maps[1:]))

    @property
    def output_bits(self) -> int:
        return self.bits[1]

    @property
    def weight_bits(self) -> int:
        return self.bits[2]


def conv(
    source: tuple[int, int, int], filters: int, window: Window, groups: int = 1, bits: tuple[int, int, int] = (8, 8, 8)
) -> Shaped:
    weights = (filters, *window.kernel, source[2] // groups)
    clamp = RELU if filters % 4 == 0 else UNBOUNDED
    return Shaped(Conv2d(window, groups, clamp), ((1, *source),), (weights, (filters,)), bits)


def depthwise(
    source: tuple[int, int, int],
    window: Window,
    multiplier: int = 1,
    bits: tuple[int, int, int] = (8, 8, 8),
    clamp: Clamp = RELU6,
) -> Shaped:
    channels = source[2] * multiplier
    constants = (1, *window.kernel, channels), (channels,)
    return Shaped(DepthwiseConv2d(window, clamp), ((1, *source),), constants, bits)


def fully_connected(source: Shape, outputs: int, bits: tuple[int, int, int] = (8, 8, 8)) -> Shaped:
    return Shaped(FullyConnected(), (source,), ((outputs, int(np.prod(source))), (outputs,)), bits)

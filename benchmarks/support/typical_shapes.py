# SPDX-License-Identifier: Apache-2.0
"""Layers as networks for microcontrollers have them, with 8 bits: what tables of kernels show."""

from __future__ import annotations

__all__ = ["TYPICAL_SHAPES"]

from benchmarks.support.shaped import SAME_3X3, Shaped, conv, depthwise, fully_connected
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window

_SAME_3X3_BY_2 = (0, 0, 1, 1)

TYPICAL_SHAPES = {
    "conv2d 1x1, 8 to 16 channels, 48x48": conv((48, 48, 8), 16, Window((1, 1))),
    "conv2d 1x1, 32 to 64 channels, 24x24": conv((24, 24, 32), 64, Window((1, 1))),
    "conv2d 1x1, 64 to 64 channels, 12x12": conv((12, 12, 64), 64, Window((1, 1))),
    "conv2d 1x1, 96 to 24 channels, 12x12": conv((12, 12, 96), 24, Window((1, 1))),
    "conv2d 1x1, 128 to 128 channels, 6x6": conv((6, 6, 128), 128, Window((1, 1))),
    "conv2d 1x1, 256 to 256 channels, 3x3": conv((3, 3, 256), 256, Window((1, 1))),
    "conv2d 1x1 by 2, 16 to 32 channels, 32x32": conv((32, 32, 16), 32, Window((1, 1), (2, 2))),
    "conv2d 3x3 by 2, 3 to 8 channels, 96x96": conv((96, 96, 3), 8, Window((3, 3), (2, 2), pads=_SAME_3X3_BY_2)),
    "conv2d 3x3, 16 to 16 channels, 32x32": conv((32, 32, 16), 16, Window((3, 3), pads=SAME_3X3)),
    "conv2d 3x3, 64 to 64 channels, 8x8": conv((8, 8, 64), 64, Window((3, 3), pads=SAME_3X3)),
    "conv2d 5x5, 8 to 16 channels, 16x16": conv((16, 16, 8), 16, Window((5, 5), pads=(2, 2, 2, 2))),
    "conv2d 10x4 by 2, 1 to 64 channels, 49x10": conv((49, 10, 1), 64, Window((10, 4), (2, 2), pads=(4, 1, 5, 1))),
    "depthwise_conv2d 3x3, 8 channels, 48x48": depthwise((48, 48, 8), Window((3, 3), pads=SAME_3X3)),
    "depthwise_conv2d 3x3 by 2, 16 channels, 48x48": depthwise(
        (48, 48, 16), Window((3, 3), (2, 2), pads=_SAME_3X3_BY_2)
    ),
    "depthwise_conv2d 3x3, 64 channels, 12x12": depthwise((12, 12, 64), Window((3, 3), pads=SAME_3X3)),
    "depthwise_conv2d 3x3, 256 channels, 3x3": depthwise((3, 3, 256), Window((3, 3), pads=SAME_3X3)),
    "depthwise_conv2d 5x5, 32 channels, 24x24": depthwise((24, 24, 32), Window((5, 5), pads=(2, 2, 2, 2))),
    "depthwise_conv2d 7x7, 32 channels, 24x24": depthwise((24, 24, 32), Window((7, 7), pads=(3, 3, 3, 3))),
    "fully_connected 64 to 10": fully_connected((1, 64), 10),
    "fully_connected 640 to 128": fully_connected((1, 640), 128),
    "add 16 channels, 32x32": Shaped(Add(), ((1, 32, 32, 16),) * 2),
    "mul 64 channels, 12x12 by 1x1": Shaped(Mul(), ((1, 12, 12, 64), (1, 1, 1, 64))),
    "average_pool 8x8, 64 channels": Shaped(AveragePool(Window((8, 8))), ((1, 8, 8, 64),)),
    "max_pool 2x2 by 2, 32 channels, 24x24": Shaped(MaxPool(Window((2, 2), (2, 2))), ((1, 24, 24, 32),)),
    "mean 6x6, 128 channels": Shaped(Mean(), ((1, 6, 6, 128),)),
    "concat 32 and 32 channels, 12x12": Shaped(Concat(), ((1, 12, 12, 32),) * 2),
    "softmax 10": Shaped(Softmax(), ((1, 10),)),
}

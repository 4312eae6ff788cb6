# SPDX-License-Identifier: Apache-2.0
"""The shapes that kernels are measured on: one operator each, for every kernel of the runtime.

Each feature of a kernel (mcukit/planning/kernel_features.py) must vary apart from the others somewhere in its list:
maps of one row tell the cost of a call from that of a row, odd sizes tell what comes in pairs or words.
"""

from __future__ import annotations

__all__ = ["KERNEL_SHAPES"]

from collections.abc import Mapping, Sequence
from itertools import product

from benchmarks.support.packed_shapes import PACKED_SHAPES
from benchmarks.support.shaped import SAME_3X3, Shaped, conv, depthwise, fully_connected
from mcukit.ops.activation import RELU, RELU6, UNBOUNDED
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.hard_swish import HardSwish
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.pad import Pad
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window

_CONVOLUTIONS = (
    # Pointwise.
    *(
        conv(source, filters, Window((1, 1)))
        for source, filters in (
            ((1, 1, 8), 8),
            ((1, 1, 64), 16),
            ((1, 8, 3), 5),
            ((1, 9, 16), 32),
            ((1, 24, 24), 16),
            ((1, 25, 7), 6),
            ((6, 6, 16), 96),
            ((6, 6, 96), 24),
            ((7, 7, 33), 20),
            ((12, 12, 8), 16),
            ((12, 11, 32), 31),
            ((3, 3, 128), 128),
            ((24, 24, 8), 8),
            ((3, 5, 6), 1),
            ((4, 6, 1), 9),
        )
    ),
    conv((8, 8, 16), 32, Window((1, 1), (2, 2))),
    # Windows: the first layers of networks, borders or none, one row, strides, dilation, groups, odd sizes.
    *(
        conv(source, filters, Window((3, 3), stride, pads=pads))
        for source, filters, stride, pads in (
            ((24, 24, 3), 8, (2, 2), (0, 0, 1, 1)),
            ((24, 24, 3), 16, (2, 2), SAME_3X3),
            ((24, 24, 3), 32, (2, 2), SAME_3X3),
            ((16, 16, 3), 16, (1, 1), SAME_3X3),
            ((12, 12, 1), 8, (1, 1), SAME_3X3),
            ((12, 12, 8), 8, (1, 1), SAME_3X3),
            ((12, 12, 16), 16, (1, 1), SAME_3X3),
            ((8, 8, 32), 32, (1, 1), SAME_3X3),
            ((8, 8, 32), 64, (2, 2), (0, 0, 1, 1)),
            ((4, 4, 64), 64, (1, 1), SAME_3X3),
            ((7, 9, 5), 7, (1, 1), SAME_3X3),
            ((9, 7, 13), 4, (1, 2), (1, 0, 1, 0)),
            ((3, 13, 8), 8, (1, 1), (0, 0, 0, 0)),
            ((3, 22, 4), 12, (1, 1), (0, 1, 0, 1)),
            ((3, 23, 3), 2, (1, 1), (0, 0, 0, 0)),
            ((1, 17, 8), 4, (1, 1), SAME_3X3),
            ((3, 3, 4), 1, (1, 1), (0, 0, 0, 0)),
        )
    ),
    conv((10, 10, 4), 8, Window((5, 5), pads=(2, 2, 2, 2))),
    conv((12, 12, 1), 6, Window((5, 5))),
    conv((12, 12, 3), 8, Window((7, 7), (2, 2), pads=(3, 3, 3, 3))),
    conv((1, 24, 8), 8, Window((1, 5), pads=(0, 2, 0, 2))),
    conv((24, 5, 2), 16, Window((5, 1), (2, 1), pads=(2, 0, 2, 0))),
    conv((16, 6, 1), 16, Window((10, 4), (2, 2), pads=(4, 1, 5, 1))),
    conv((8, 8, 8), 8, Window((2, 2), (2, 2))),
    conv((10, 10, 8), 8, Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2))),
    conv((11, 9, 3), 6, Window((3, 2), dilation=(1, 3), pads=(1, 0, 1, 3))),
    conv((8, 8, 8), 16, Window((3, 3), pads=SAME_3X3), groups=2),
    conv((8, 9, 12), 12, Window((3, 3), pads=SAME_3X3), groups=4),
    conv((6, 6, 16), 32, Window((1, 1)), groups=4),
)

# Single pixels and lone filters, which cost as much as a few threes.
_MORE_MVE_CONVOLUTIONS = (
    conv((20, 1, 8), 16, Window((1, 1))),
    conv((20, 2, 64), 8, Window((1, 1))),
    conv((10, 5, 40), 9, Window((1, 1))),
    conv((6, 8, 24), 5, Window((3, 3), pads=SAME_3X3)),
    conv((8, 8, 40), 16, Window((3, 3), pads=SAME_3X3)),
    conv((12, 3, 100), 12, Window((1, 1))),
)

_DEPTHWISE = (
    *(
        depthwise(source, Window((3, 3), stride, pads=pads))
        for source, stride, pads in (
            ((24, 24, 8), (1, 1), SAME_3X3),
            ((24, 24, 16), (2, 2), (0, 0, 1, 1)),
            ((12, 12, 32), (1, 1), SAME_3X3),
            ((6, 6, 64), (1, 1), SAME_3X3),
            ((7, 7, 96), (2, 2), SAME_3X3),
            ((3, 3, 128), (1, 1), SAME_3X3),
            ((3, 24, 8), (1, 1), (0, 0, 0, 0)),
            ((3, 24, 1), (1, 1), (0, 0, 0, 0)),
            ((3, 9, 24), (1, 2), (0, 1, 0, 1)),
            ((1, 24, 8), (1, 1), SAME_3X3),
            ((2, 12, 16), (1, 1), SAME_3X3),
            ((9, 11, 5), (1, 1), SAME_3X3),
            ((1, 1, 40), (1, 1), SAME_3X3),
            ((3, 3, 3), (1, 1), (0, 0, 0, 0)),
        )
    ),
    depthwise((10, 10, 12), Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2))),
    depthwise((10, 10, 16), Window((5, 5), pads=(2, 2, 2, 2))),
    depthwise((9, 9, 24), Window((5, 5), (2, 2), pads=(2, 2, 2, 2))),
    depthwise((5, 24, 8), Window((5, 5))),
    depthwise((24, 5, 8), Window((10, 4), (2, 2), pads=(4, 1, 5, 1))),
    depthwise((1, 20, 6), Window((1, 5), pads=(0, 2, 0, 2))),
    depthwise((8, 8, 4), Window((3, 3), pads=SAME_3X3), multiplier=2),
    depthwise((6, 7, 1), Window((3, 3), pads=SAME_3X3), multiplier=8),
    depthwise((8, 8, 20), Window((1, 1))),
)

_DSP_DEPTHWISE = (
    *(
        depthwise(source, Window((3, 3), stride, pads=pads))
        for source, stride, pads in (
            ((24, 24, 8), (1, 1), SAME_3X3),
            ((24, 24, 16), (2, 2), (0, 0, 1, 1)),
            ((23, 23, 16), (2, 2), SAME_3X3),
            ((12, 12, 32), (1, 1), SAME_3X3),
            ((12, 12, 32), (2, 2), (0, 0, 1, 1)),
            ((6, 6, 64), (1, 1), SAME_3X3),
            ((6, 6, 64), (2, 2), (0, 0, 1, 1)),
            ((7, 7, 96), (2, 2), SAME_3X3),
            ((3, 3, 128), (1, 1), SAME_3X3),
            ((14, 14, 24), (1, 1), SAME_3X3),
            ((3, 24, 8), (1, 1), (0, 0, 0, 0)),
            ((3, 24, 1), (1, 1), (0, 0, 0, 0)),
            ((3, 70, 4), (1, 1), SAME_3X3),
            ((3, 80, 8), (1, 2), (0, 0, 0, 1)),
            ((9, 24, 2), (1, 1), SAME_3X3),
            ((8, 9, 3), (2, 2), SAME_3X3),
            ((3, 9, 24), (1, 2), (0, 1, 0, 1)),
            ((1, 24, 8), (1, 1), SAME_3X3),
            ((2, 12, 16), (1, 1), SAME_3X3),
            ((9, 11, 5), (1, 1), SAME_3X3),
            ((1, 1, 40), (1, 1), SAME_3X3),
            ((3, 3, 3), (1, 1), (0, 0, 0, 0)),
            ((4, 6, 12), (1, 1), (3, 3, 3, 3)),
            ((5, 1, 16), (1, 1), SAME_3X3),
            ((5, 5, 24), (1, 1), SAME_3X3),
            ((7, 7, 40), (1, 1), SAME_3X3),
            ((6, 6, 6), (2, 2), (2, 2, 2, 2)),
        )
    ),
    depthwise((10, 10, 12), Window((3, 3), dilation=(2, 1), pads=(2, 1, 2, 1))),
    # Without an activation, so that sums take longer to finish.
    *(
        depthwise(source, Window((3, 3), (stride, stride), pads=SAME_3X3), clamp=UNBOUNDED)
        for source, stride in (
            ((12, 12, 16), 1),
            ((24, 26, 8), 1),
            ((25, 24, 12), 2),
            ((7, 7, 24), 1),
            ((10, 30, 4), 1),
        )
    ),
)

_ANY_DSP_DEPTHWISE = (
    *(
        depthwise(source, Window((size, size), (stride, stride), pads=(size // 2,) * 4))
        for size in (5, 7)
        for source, stride in (
            ((14, 14, 16), 1),
            ((14, 14, 16), 2),
            ((7, 7, 48), 1),
            ((10, 20, 8), 1),
            ((9, 24, 6), 2),
            ((8, 9, 3), 1),
        )
    ),
    *(
        depthwise(source, window)
        for source, window in (
            ((5, 24, 8), Window((5, 5))),
            ((6, 23, 1), Window((5, 5))),
            ((9, 16, 5), Window((7, 7), (1, 2))),
            ((12, 6, 20), Window((9, 5), (2, 1), pads=(4, 2, 4, 2))),
            ((1, 20, 6), Window((1, 5), pads=(0, 2, 0, 2))),
            ((1, 24, 16), Window((1, 7), pads=(0, 3, 0, 3))),
            ((10, 10, 12), Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2))),
            ((12, 12, 16), Window((3, 3), (3, 3), pads=SAME_3X3)),
            ((24, 5, 8), Window((10, 4), (2, 2), pads=(4, 1, 5, 1))),
            ((8, 8, 20), Window((1, 1))),
            ((1, 24, 4), Window((1, 1))),
            ((24, 1, 24), Window((3, 1), pads=(1, 0, 1, 0))),
            ((6, 12, 32), Window((2, 2), (2, 2))),
            ((8, 40, 4), Window((2, 4), pads=(0, 1, 0, 2))),
            ((11, 11, 2), Window((4, 4), pads=(1, 1, 2, 2))),
            ((9, 9, 24), Window((5, 5), dilation=(1, 2), pads=(2, 4, 2, 4))),
            ((7, 9, 40), Window((9, 9), pads=(4, 4, 4, 4))),
            ((16, 18, 8), Window((3, 11), pads=(1, 5, 1, 5))),
        )
    ),
)

_SOURCES = (
    (1, 1, 1),
    (1, 1, 64),
    (1, 24, 1),
    (1, 7, 32),
    (6, 6, 24),
    (13, 11, 5),
    (24, 24, 8),
    (16, 1, 16),
    (24, 1, 1),
)
"""Maps (height, width, channels) whose values, pixels and rows differ in number."""

_WORDY_SOURCES = (*_SOURCES, (8, 8, 4), (5, 12, 16), (12, 5, 12), (7, 9, 7), (1, 1, 4), (20, 3, 2))

_WINDOWS = (
    ((12, 12, 8), Window((2, 2), (2, 2))),
    ((24, 24, 4), Window((2, 2), (2, 2))),
    ((13, 11, 5), Window((2, 2), (2, 2))),
    ((6, 6, 32), Window((3, 3), pads=SAME_3X3)),
    ((10, 9, 16), Window((3, 3), (2, 2), pads=SAME_3X3)),
    ((3, 24, 8), Window((3, 3))),
    ((1, 24, 1), Window((1, 2), (1, 2))),
    ((2, 24, 16), Window((2, 1))),
    ((24, 24, 1), Window((1, 1))),
    ((6, 6, 64), Window((6, 6))),
    ((8, 8, 24), Window((8, 8))),
    ((7, 7, 9), Window((7, 7))),
    ((1, 20, 3), Window((1, 5))),
    ((20, 1, 12), Window((5, 1))),
    ((4, 4, 128), Window((4, 4))),
)


# Pixels that fill words and blocks and such that don't, borders, windows of more pixels than are summed at once.
_DSP_WINDOWS = (
    ((12, 12, 8), Window((2, 2), (2, 2))),
    ((24, 24, 16), Window((2, 2), (2, 2))),
    ((12, 12, 64), Window((2, 2), (2, 2))),
    ((13, 11, 9), Window((2, 2), (2, 2))),
    ((6, 6, 32), Window((3, 3), pads=SAME_3X3)),
    ((10, 9, 16), Window((3, 3), (2, 2), pads=SAME_3X3)),
    ((7, 9, 43), Window((3, 3), pads=SAME_3X3)),
    ((3, 24, 8), Window((3, 3))),
    ((1, 24, 15), Window((1, 2), (1, 2))),
    ((2, 24, 16), Window((2, 1))),
    ((24, 24, 8), Window((1, 1))),
    ((5, 6, 120), Window((1, 1))),
    ((6, 6, 64), Window((6, 6))),
    ((8, 8, 24), Window((8, 8))),
    ((7, 7, 13), Window((7, 7))),
    ((17, 18, 10), Window((17, 17))),
    ((22, 14, 16), Window((22, 13))),
    ((1, 20, 11), Window((1, 5))),
    ((20, 1, 12), Window((5, 1))),
    ((4, 4, 128), Window((4, 4))),
    ((1, 1, 8), Window((1, 1))),
    ((12, 20, 12), Window((5, 3), pads=(2, 1, 2, 1))),
    ((9, 1, 31), Window((2, 1), (2, 1))),
    ((3, 2, 88), Window((3, 2), pads=(1, 0, 1, 1))),
    ((10, 12, 20), Window((2, 3), (2, 3))),
    ((16, 3, 10), Window((4, 1), (4, 1))),
)


def _dsp_pools(kind: type[AveragePool | MaxPool]) -> tuple[Shaped, ...]:
    return tuple(
        Shaped(kind(window, (UNBOUNDED, RELU6)[number % 4 == 1]), ((1, *source),))
        for number, (source, window) in enumerate(_DSP_WINDOWS)
    )


# Means of maps whose blocks, areas and channels differ in number.
_DSP_MEANS = (
    (1, 1, 8), (1, 1, 64), (1, 24, 16), (6, 6, 24), (13, 11, 9), (24, 24, 8), (16, 1, 16), (8, 8, 13), (5, 12, 40),
    (7, 7, 128), (3, 3, 250), (20, 20, 10), (2, 2, 31), (4, 4, 64), (1, 3, 12), (24, 13, 20),
    (9, 2, 100), (2, 17, 8), (1, 2, 36), (10, 10, 26),
)  # fmt: skip


def _products() -> tuple[Shaped, ...]:
    """Operands of equal size, and such that broadcast along columns; both have all channels."""
    equal = tuple(Shaped(Mul(RELU), ((1, *source),) * 2) for source in _WORDY_SOURCES)
    channels = tuple(Shaped(Mul(), ((1, *source), (1, 1, 1, source[2]))) for source in _WORDY_SOURCES[3:])
    return (*equal, *channels)


def _pools(kind: type[AveragePool | MaxPool]) -> tuple[Shaped, ...]:
    return tuple(Shaped(kind(window), ((1, *source),)) for source, window in _WINDOWS)


def _sums(kind: type[Add | Mul | Sub]) -> tuple[Shaped, ...]:
    equal = tuple(Shaped(kind(RELU), ((1, *source),) * 2) for source in _SOURCES)
    channels = tuple(Shaped(kind(), ((1, *source), (1, 1, 1, source[2]))) for source in _SOURCES[3:])
    constants = tuple(Shaped(kind(), ((1, *source),), ((source[2],),)) for source in _SOURCES[4:])
    return (*equal, *channels, *constants)


def _concats() -> tuple[Shaped, ...]:
    depths = ((8, 8), (4, 12), (3, 5), (7, 2, 1), (16, 8, 8, 4), (1,), (32,), (1, 1, 1, 1, 1, 1))
    sizes = ((1, 1), (1, 24), (6, 6), (13, 5))
    return tuple(Shaped(Concat(), tuple((1, *size, depth) for depth in each)) for each, size in product(depths, sizes))


def _pads() -> tuple[Shaped, ...]:
    pads = ((1, 1, 1, 1), (0, 0, 1, 1), (0, 3, 0, 0), (0, 0, 0, 0), (4, 2, 5, 9))
    borders = tuple(Shaped(Pad(each), ((1, *source),)) for source in _WORDY_SOURCES for each in pads)
    channels = ((0, 4), (4, 8), (3, 0), (1, 6))
    return borders + tuple(
        Shaped(Pad((0, 0, 0, 0), each), ((1, *source),)) for source in _WORDY_SOURCES for each in channels
    )


def _resizes() -> tuple[Shaped, ...]:
    factors = ((2, 2), (1, 2), (3, 1))
    return tuple(
        Shaped(ResizeNearest((source[0] * factor[0], source[1] * factor[1])), ((1, *source),))
        for source in _WORDY_SOURCES
        for factor in factors
    )


_SOFTMAXES = ((1, 10), (1, 2), (1, 1000), (1, 7, 5, 4), (1, 1, 12, 16), (1, 12, 1, 100), (1, 1, 1, 40), (1, 24, 24, 2))
_VECTORS = (
    ((1, 64), 10), ((1, 256), 2), ((1, 400), 12), ((1, 4, 4, 16), 10), ((1, 7, 5, 3), 9), ((1, 16, 1, 4), 32),
    ((1, 10), 1), ((1, 3), 64), ((1, 1, 1, 96), 33), ((1, 20, 2, 1), 4), ((1, 5), 100), ((1, 1000), 3),
    ((1, 7), 8), ((1, 9, 1, 3), 6), ((1, 512), 20), ((1, 3, 3, 9), 7),
)  # fmt: skip

KERNEL_SHAPES: Mapping[str, Sequence[Shaped]] = {
    "mk_add_s8": _sums(Add),
    "mk_add_s8_dsp": tuple(Shaped(Add(RELU), ((1, *source),) * 2) for source in _WORDY_SOURCES),
    "mk_average_pool_s8": _pools(AveragePool),
    "mk_average_pool_s8_dsp": _dsp_pools(AveragePool),
    "mk_concat_s8": _concats(),
    "mk_conv2d_s8": _CONVOLUTIONS,
    "mk_conv2d_s8_dsp": _CONVOLUTIONS,
    "mk_conv2d_s8_mve": (*_CONVOLUTIONS, *_MORE_MVE_CONVOLUTIONS),
    "mk_depthwise_conv2d_s8": _DEPTHWISE,
    "mk_depthwise_conv2d_any_s8_dsp": _ANY_DSP_DEPTHWISE,
    "mk_depthwise_conv2d_s8_dsp": _DSP_DEPTHWISE,
    "mk_depthwise_conv2d_s8_mve": (*_DSP_DEPTHWISE, *_ANY_DSP_DEPTHWISE),
    "mk_fully_connected_s8": tuple(fully_connected(source, outputs) for source, outputs in _VECTORS),
    "mk_fully_connected_s8_dsp": tuple(fully_connected(source, outputs) for source, outputs in _VECTORS),
    "mk_fully_connected_s8_mve": tuple(fully_connected(source, outputs) for source, outputs in _VECTORS),
    "mk_lookup_s8": tuple(Shaped(HardSwish(), ((1, *source),)) for source in _WORDY_SOURCES),
    "mk_max_pool_s8": _pools(MaxPool),
    "mk_max_pool_s8_dsp": _dsp_pools(MaxPool),
    "mk_mean_s8": tuple(Shaped(Mean(), ((1, *source),)) for source in _WORDY_SOURCES),
    "mk_mean_s8_dsp": tuple(Shaped(Mean(), ((1, *source),)) for source in _DSP_MEANS),
    "mk_mul_s8": _sums(Mul),
    "mk_mul_s8_dsp": _products(),
    "mk_pad_s8": _pads(),
    "mk_resize_nearest_s8": _resizes(),
    "mk_softmax_s8": tuple(Shaped(Softmax(), (shape,)) for shape in _SOFTMAXES),
    "mk_sub_s8": _sums(Sub),
    **PACKED_SHAPES,
}
"""By the kernel's function."""

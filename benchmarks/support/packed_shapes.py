# SPDX-License-Identifier: Apache-2.0
"""The shapes that kernels for packed maps and weights are measured on, as those of kernel_shapes.py are for 8 bits.

Each kernel takes any mix of bits, so that every one of its loops must be met: each width of a map, of weights and of
pairs of them, channels that fill fours and such that don't, and pixels that begin inside of a word.
"""

from __future__ import annotations

__all__ = ["PACKED_SHAPES"]

from collections.abc import Mapping, Sequence
from itertools import cycle, product

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

Bits = tuple[int, int, int]

_MIXES: tuple[Bits, ...] = tuple(
    (source, target, weights)
    for source, weights, target in product((8, 4, 2), repeat=3)
    if (source, target, weights) != (8, 8, 8)
)
"""Every mix of bits of input, output and weights that calls a packed kernel."""

_MAP_MIXES: tuple[Bits, ...] = tuple(bits for bits in _MIXES if bits[2] == 8)

# Convolutions whose work is spread differently: products, gathering, rows, borders, groups, left over channels.
_CONVOLUTIONS = (
    ((12, 12, 64), 16, Window((1, 1)), 1),
    ((9, 7, 16), 24, Window((1, 1)), 1),
    ((8, 8, 24), 9, Window((1, 1)), 1),
    ((1, 9, 7), 6, Window((1, 1)), 1),
    ((7, 1, 20), 3, Window((1, 1)), 1),
    ((6, 6, 32), 8, Window((1, 1), pads=SAME_3X3), 1),
    ((12, 12, 3), 8, Window((3, 3), (2, 2), pads=SAME_3X3), 1),
    ((10, 10, 16), 8, Window((3, 3), pads=SAME_3X3), 1),
    ((3, 12, 5), 7, Window((3, 3)), 1),
    ((6, 6, 8), 12, Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2)), 1),
    ((8, 9, 12), 8, Window((3, 3), pads=SAME_3X3), 4),
    ((5, 6, 10), 6, Window((3, 1), pads=(1, 0, 1, 0)), 2),
    ((4, 4, 128), 4, Window((3, 3), pads=SAME_3X3), 1),
    ((4, 4, 128), 5, Window((4, 4)), 1),
    ((3, 3, 256), 12, Window((3, 3), pads=SAME_3X3), 1),
    ((1, 1, 4), 2, Window((1, 1)), 1),
    ((1, 2, 8), 4, Window((1, 1)), 1),
    ((3, 3, 3), 1, Window((3, 3)), 1),
    ((6, 8, 16), 3, Window((1, 1)), 1),
    ((5, 6, 12), 1, Window((3, 3), pads=SAME_3X3), 1),
)

_DEPTHWISE = (
    ((8, 8, 32), Window((3, 3), pads=SAME_3X3), 1),
    ((9, 7, 13), Window((3, 3), (2, 2), pads=SAME_3X3), 1),
    ((6, 6, 8), Window((5, 5), pads=(2, 2, 2, 2)), 1),
    ((1, 12, 40), Window((1, 3)), 1),
    ((7, 5, 3), Window((3, 3), pads=SAME_3X3), 4),
    ((5, 5, 16), Window((1, 1)), 1),
    ((4, 7, 6), Window((2, 2)), 1),
    ((1, 1, 8), Window((1, 1)), 1),
    ((3, 3, 3), Window((3, 3)), 1),
    ((5, 1, 2), Window((1, 1)), 1),
)

# 3x3 windows of DSP kernels: rows, parts, borders, channels that leave some over, and so many that weights stay packed.
_DSP_DEPTHWISE = (
    ((24, 24, 8), (1, 1), SAME_3X3),
    ((24, 24, 16), (2, 2), (0, 0, 1, 1)),
    ((12, 12, 32), (1, 1), SAME_3X3),
    ((12, 12, 24), (2, 2), (0, 0, 1, 1)),
    ((6, 6, 64), (1, 1), SAME_3X3),
    ((7, 7, 40), (2, 2), SAME_3X3),
    ((3, 3, 64), (1, 1), SAME_3X3),
    ((3, 70, 4), (1, 1), SAME_3X3),
    ((3, 80, 8), (1, 2), (0, 0, 0, 1)),
    ((1, 24, 8), (1, 1), SAME_3X3),
    ((2, 12, 16), (1, 1), SAME_3X3),
    ((9, 24, 2), (1, 1), SAME_3X3),
    ((8, 9, 3), (2, 2), SAME_3X3),
    ((9, 11, 5), (1, 1), SAME_3X3),
    ((6, 9, 7), (1, 1), SAME_3X3),
    ((1, 1, 40), (1, 1), SAME_3X3),
    ((3, 3, 3), (1, 1), (0, 0, 0, 0)),
    ((4, 5, 264), (1, 1), (0, 0, 0, 0)),
)

_ANY_DSP_DEPTHWISE = (
    ((12, 12, 16), Window((5, 5), pads=(2, 2, 2, 2))),
    ((14, 14, 8), Window((5, 5), (2, 2), pads=(2, 2, 2, 2))),
    ((7, 7, 48), Window((5, 5), pads=(2, 2, 2, 2))),
    ((9, 24, 6), Window((5, 5), (2, 2), pads=(2, 2, 2, 2))),
    ((10, 10, 8), Window((7, 7), pads=(3, 3, 3, 3))),
    ((9, 16, 5), Window((7, 7), (1, 2))),
    ((6, 23, 1), Window((5, 5))),
    ((8, 9, 3), Window((7, 7), pads=(3, 3, 3, 3))),
    ((12, 6, 20), Window((9, 5), (2, 1), pads=(4, 2, 4, 2))),
    ((1, 24, 16), Window((1, 7), pads=(0, 3, 0, 3))),
    ((10, 10, 12), Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2))),
    ((12, 12, 16), Window((3, 3), (3, 3), pads=SAME_3X3)),
    ((8, 8, 20), Window((1, 1))),
    ((4, 40, 7), Window((2, 3))),
)

_VECTORS = (
    ((1, 256), 10), ((1, 3), 64), ((1, 4, 4, 16), 20), ((1, 7, 5, 3), 9), ((1, 1, 1, 96), 33), ((1, 1000), 3),
    ((1, 12, 2, 5), 16), ((1, 40), 1), ((1, 6, 6, 13), 7), ((1, 5), 100),
)  # fmt: skip

_SOURCES = ((1, 1, 4), (1, 1, 64), (1, 24, 1), (6, 6, 24), (7, 11, 5), (12, 12, 8), (16, 1, 7), (5, 4, 30), (1, 1, 3))
"""Maps (height, width, channels) whose values, pixels, rows and left over channels differ in number."""

_WINDOWS = (
    ((12, 12, 8), Window((2, 2), (2, 2))),
    ((13, 11, 5), Window((2, 2), (2, 2))),
    ((6, 6, 32), Window((3, 3), pads=SAME_3X3)),
    ((3, 24, 9), Window((3, 3))),
    ((1, 24, 1), Window((1, 2), (1, 2))),
    ((2, 24, 16), Window((2, 1))),
    ((24, 24, 2), Window((1, 1))),
    ((6, 6, 64), Window((6, 6))),
    ((7, 7, 23), Window((7, 7))),
    ((1, 20, 3), Window((1, 5))),
    ((20, 1, 12), Window((5, 1))),
    ((4, 4, 128), Window((4, 4))),
    ((1, 1, 47), Window((1, 1))),
    ((1, 1, 4), Window((1, 1))),
    ((2, 2, 1), Window((2, 2))),
    ((9, 1, 8), Window((1, 1))),
)


_DSP_MEANS = (
    (1, 1, 16), (1, 24, 32), (6, 6, 24), (7, 11, 21), (12, 12, 16), (16, 1, 31), (5, 4, 30), (1, 3, 64), (9, 9, 17),
    (20, 20, 18),
)  # fmt: skip


def _mixed(number: int, step: int = 1) -> Sequence[Bits]:
    """The first `number` mixes, every one of them in turn. step: coprime to how many there are, for another order."""
    return tuple(_MIXES[i * step % len(_MIXES)] for i in range(number))


def _convolutions() -> tuple[Shaped, ...]:
    # Each shape meets every width of maps, and of weights, though not every mix of them.
    mixes = cycle(_mixed(len(_MIXES), 7))
    return tuple(conv(*shape, next(mixes)) for shape in _CONVOLUTIONS for _ in range(7))


def _depthwises() -> tuple[Shaped, ...]:
    mixes = cycle(_mixed(len(_MIXES), 5))
    return tuple(depthwise(*shape, next(mixes)) for shape in _DEPTHWISE for _ in range(11))


def _dsp_depthwises() -> tuple[Shaped, ...]:
    mixes = cycle(_mixed(len(_MIXES), 5))
    return tuple(
        depthwise(source, Window((3, 3), stride, pads=pads), bits=next(mixes), clamp=RELU6 if i % 4 else UNBOUNDED)
        for source, stride, pads in _DSP_DEPTHWISE
        for i in range(9)
    )


def _any_dsp_depthwises() -> tuple[Shaped, ...]:
    mixes = cycle(_mixed(len(_MIXES), 5))
    return tuple(depthwise(*shape, bits=next(mixes)) for shape in _ANY_DSP_DEPTHWISE for _ in range(9))


def _fully_connecteds() -> tuple[Shaped, ...]:
    mixes = cycle(_mixed(len(_MIXES), 7))
    return tuple(fully_connected(*shape, next(mixes)) for shape in _VECTORS for _ in range(7))


def _sums(kind: type[Add | Mul | Sub]) -> tuple[Shaped, ...]:
    """One operand has 8 bits in each, whether it is a map or a constant: others are looked up in pairs."""
    shapes = []
    for source in _SOURCES:
        pixel, channels = (1, 1, 1, source[2]), (1, *source)
        shapes += [Shaped(kind(RELU), (channels,) * 2, (), bits, later_bits=8) for bits in _MAP_MIXES[1::2]]
        shapes += [
            Shaped(kind(), (channels,) * 2, (), (4, 2, 8), later_bits=8),
            Shaped(kind(), (channels,) * 2, (), (8, 2, 8), later_bits=4),
            Shaped(kind(), (channels,), ((source[2],),), (2, 4, 8)),
        ]
        if source[:2] != (1, 1):
            shapes.append(Shaped(kind(), (channels, pixel), (), (2, 4, 8), later_bits=8))
        if source[2] != 1:
            shapes.append(Shaped(kind(), (channels, (1, *source[:2], 1)), (), (4, 8, 8), later_bits=8))
    return tuple(shapes)


def _pairs() -> tuple[Shaped, ...]:
    """Sums, products and differences, which one kernel looks up: only the table differs."""
    kinds, outputs = cycle((Add, Mul, Sub)), cycle((8, 4, 2, 4))
    shapes = []
    for source in _SOURCES:
        channels, pixel, column = (1, *source), (1, 1, 1, source[2]), (1, *source[:2], 1)
        maps = [(channels, channels)]
        maps += [(channels, pixel)] if source[:2] != (1, 1) else []
        maps += [(channels, column)] if source[2] != 1 else []
        shapes += [
            Shaped(next(kinds)(), each, (), (first, next(outputs), 8), later_bits=second)
            for each in maps
            for first, second in product((4, 2), repeat=2)
        ]
    return tuple(shapes)


def _pools(kind: type[AveragePool | MaxPool]) -> tuple[Shaped, ...]:
    return tuple(
        Shaped(kind(window, clamp), ((1, *source),), (), (bits, bits, 8))
        for number, (source, window) in enumerate(_WINDOWS)
        for bits in (4, 2)
        for clamp in ((UNBOUNDED, RELU6)[number % 2],)
    )


# Pixels of at least a word of 2 bits; else as _WINDOWS.
_DSP_WINDOWS = (
    ((12, 12, 16), Window((2, 2), (2, 2))),
    ((12, 12, 64), Window((2, 2), (2, 2))),
    ((13, 11, 21), Window((2, 2), (2, 2))),
    ((6, 6, 32), Window((3, 3), pads=SAME_3X3)),
    ((9, 10, 48), Window((3, 3), (2, 2), pads=SAME_3X3)),
    ((3, 24, 19), Window((3, 3))),
    ((1, 24, 16), Window((1, 2), (1, 2))),
    ((2, 24, 32), Window((2, 1))),
    ((24, 24, 16), Window((1, 1))),
    ((6, 6, 64), Window((6, 6))),
    ((7, 7, 23), Window((7, 7))),
    ((1, 20, 30), Window((1, 5))),
    ((20, 1, 24), Window((5, 1))),
    ((4, 4, 128), Window((4, 4))),
    ((1, 1, 47), Window((1, 1))),
    ((8, 9, 32), Window((8, 8))),
    ((12, 24, 16), Window((11, 23))),
    ((9, 1, 16), Window((1, 1))),
)


def _dsp_pools(kind: type[AveragePool | MaxPool]) -> tuple[Shaped, ...]:
    return tuple(
        Shaped(kind(window, (UNBOUNDED, RELU6)[number % 4 == 1]), ((1, *source),), (), (bits, bits, 8))
        for number, (source, window) in enumerate(_DSP_WINDOWS)
        for bits in (4, 2)
    )


def _tied_maps(*, weights: int = 8) -> tuple[Bits, ...]:
    return (4, 4, weights), (2, 2, weights)


def _concats() -> tuple[Shaped, ...]:
    depths = ((8, 8), (4, 12), (3, 5), (7, 2, 1), (16, 8, 8, 4), (1, 32), (32, 33, 31))
    sizes = ((1, 1), (1, 24), (6, 6), (13, 5))
    return tuple(
        Shaped(Concat(), tuple((1, *size, depth) for depth in each), (), bits)
        for each, size, bits in product(depths, sizes, _tied_maps())
    )


def _pads() -> tuple[Shaped, ...]:
    amounts = (
        Pad((1, 1, 1, 1)), Pad((0, 3, 0, 0)), Pad((4, 2, 5, 9)), Pad((0, 0, 0, 0), (0, 4)), Pad((0, 0, 0, 0), (3, 0)),
        Pad((1, 1, 1, 1), (1, 6)),
    )  # fmt: skip
    return tuple(
        Shaped(pad, ((1, *source),), (), bits) for source, pad, bits in product(_SOURCES[1:], amounts, _tied_maps())
    )


def _resizes() -> tuple[Shaped, ...]:
    factors = ((2, 2), (1, 2), (3, 1))
    return tuple(
        Shaped(ResizeNearest((source[0] * factor[0], source[1] * factor[1])), ((1, *source),), (), bits)
        for source, factor, bits in product(_SOURCES, factors, _tied_maps())
    )


def _softmaxes() -> tuple[Shaped, ...]:
    shapes = (
        (1, 10), (1, 3, 4, 9), (1, 2), (1, 1000), (1, 7, 5, 4), (1, 1, 12, 16), (1, 12, 1, 100), (1, 1, 1, 43),
        (1, 24, 24, 3),
    )  # fmt: skip
    return tuple(Shaped(Softmax(), (shape,), (), (bits, 8, 8)) for shape in shapes for bits in (4, 2))


PACKED_SHAPES: Mapping[str, Sequence[Shaped]] = {
    "mk_add_packed": _sums(Add),
    "mk_average_pool_packed": _pools(AveragePool),
    "mk_average_pool_packed_dsp": _dsp_pools(AveragePool),
    "mk_concat_packed": _concats(),
    "mk_conv2d_packed": _convolutions(),
    "mk_conv2d_packed_dsp": _convolutions(),
    "mk_depthwise_conv2d_packed": _depthwises(),
    "mk_depthwise_conv2d_packed_dsp": _dsp_depthwises(),
    "mk_depthwise_conv2d_any_packed_dsp": _any_dsp_depthwises(),
    "mk_fully_connected_packed": _fully_connecteds(),
    "mk_fully_connected_packed_dsp": _fully_connecteds(),
    "mk_lookup_packed": tuple(
        Shaped(HardSwish(), ((1, *source),), (), bits) for source in _SOURCES for bits in _MAP_MIXES
    ),
    "mk_max_pool_packed": _pools(MaxPool),
    "mk_max_pool_packed_dsp": _dsp_pools(MaxPool),
    "mk_mean_packed": tuple(
        Shaped(Mean(), ((1, *source),), (), bits) for source in (*_SOURCES[2:], (2, 2, 64)) for bits in _MAP_MIXES
    ),
    "mk_mean_packed_dsp": tuple(
        Shaped(Mean(), ((1, *source),), (), bits) for source in _DSP_MEANS for bits in _MAP_MIXES
    ),
    "mk_mul_packed": _sums(Mul),
    "mk_pad_packed": _pads(),
    "mk_pair_lookup_packed": _pairs(),
    "mk_resize_nearest_packed": _resizes(),
    "mk_softmax_packed": _softmaxes(),
    "mk_sub_packed": _sums(Sub),
}
"""By the kernel's function."""

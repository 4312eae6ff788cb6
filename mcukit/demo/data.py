# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits on cluttered 96x96 canvases: endless, small, and the same bytes everywhere.

The digits are scikit-learn's (1797 bitmaps of 8x8, shipped with that package, so nothing is downloaded).
Each is placed at a random position, size, slant and colour over a gradient with strokes and noise. All
arithmetic is on integers and all randomness comes from raw PCG64 words, which NumPy promises never to
change: a seed gives the same images with any version of any library on any machine.
"""

from __future__ import annotations

__all__ = ["CANVAS", "CLASSES", "MAX_COUNT", "Split", "digit_indices", "digits_on_canvas"]

import importlib
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mcukit.errors import McukitError

Split = Literal["train", "calibration", "evaluation"]

CANVAS = 96
"""Height and width of every image, in pixels."""

CLASSES = 10
"""The digits 0 to 9."""

MAX_COUNT = 100_000
"""Most images of one call: 2.8 GB of pixels."""

_Integers = NDArray[np.int64]
_Bytes = NDArray[np.uint8]

# Of every ten bitmaps of a class, in the data set's order, which go where.
_TENTHS: dict[Split, range] = {"train": range(7), "calibration": range(7, 8), "evaluation": range(8, 10)}

_BITMAP = 8  # height and width of a digit's bitmap
_FULL_INK = 16  # its largest value
_ONE = 256  # 1.0 in the fixed-point fractions below


def digits_on_canvas(split: Split, count: int, seed: int) -> tuple[_Bytes, _Integers]:
    """Draws `count` images of the digits of one split.

    split: "train", "calibration" or "evaluation"; no bitmap of a digit is in two of them.
    count: number of images, 0 to MAX_COUNT. Every ten in a row show each class once.
    seed: 0 or more. A smaller count with the same seed gives the first images of a larger one.

    Returns images, uint8 of shape (count, 96, 96, 3), RGB, and labels, int64 of shape (count,).
    Raises McukitError: "missing-package" without scikit-learn, "bad-option" for an argument out of range.
    """
    _check_arguments(split, count, seed)
    bitmaps, bitmap_labels = _bitmaps()
    members = digit_indices(split)
    members_of_class = [members[bitmap_labels[members] == label] for label in range(CLASSES)]
    stream = _Stream(seed, get_args(Split).index(split))
    images = np.empty((count, CANVAS, CANVAS, 3), np.uint8)
    labels = np.empty(count, np.int64)
    for index in range(count):
        if index % CLASSES == 0:
            order = stream.permutation(CLASSES)
        labels[index] = order[index % CLASSES]
        candidates = members_of_class[labels[index]]
        images[index] = _draw_image(stream, bitmaps[candidates[stream.integer(0, len(candidates) - 1)]])
    return images, labels


def digit_indices(split: Split) -> _Integers:
    """Which of scikit-learn's digit bitmaps a split draws from: ascending indices, int64 of shape (n,).

    Raises McukitError "missing-package" without scikit-learn.
    """
    _, labels = _bitmaps()
    rank_in_class = np.zeros_like(labels)
    for label in range(CLASSES):
        of_class = labels == label
        rank_in_class[of_class] = np.arange(np.count_nonzero(of_class))
    return np.flatnonzero(np.isin(rank_in_class % 10, _TENTHS[split])).astype(np.int64)


def _check_arguments(split: str, count: int, seed: int) -> None:
    if split not in get_args(Split):
        splits = ", ".join(get_args(Split))
        raise McukitError("bad-option", f"there is no split {split!r}", where="split", hint=f"use one of {splits}")
    if not 0 <= count <= MAX_COUNT:
        raise McukitError("bad-option", f"{count} images can't be drawn", where="count", hint=f"use 0 to {MAX_COUNT}")
    if seed < 0:
        raise McukitError("bad-option", f"the seed {seed} is negative", where="seed", hint="use 0 or more")


@cache
def _bitmaps() -> tuple[_Integers, _Integers]:
    """scikit-learn's digits: bitmaps (n, 8, 8) of values 0 to 16, and labels (n,)."""
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise McukitError(
            "missing-package",
            "the demo data needs scikit-learn, which can't be imported",
            where="sklearn",
            hint="pip install 'mcukit[demo]'",
        ) from error
    digits = datasets.load_digits()
    return digits.images.astype(np.int64), digits.target.astype(np.int64)


class _Stream:
    """Random integers made from raw PCG64 words.

    NumPy keeps these words stable across versions; what Generator's methods make of them it does not.
    """

    def __init__(self, seed: int, substream: int) -> None:
        self._words = np.random.PCG64(np.random.SeedSequence((seed, substream)))

    def integer(self, low: int, high: int) -> int:
        """One integer from low to high, both included."""
        return low + ((int(self._words.random_raw()) >> 32) * (high - low + 1) >> 32)

    def integers(self, low: int, high: int, count: int) -> _Integers:
        """An array (count,) of integers from low to high, both included."""
        upper_halves = (self._words.random_raw(count) >> np.uint64(32)).astype(np.int64)
        return low + (upper_halves * (high - low + 1) >> 32)

    def signed_bytes(self, count: int) -> _Integers:
        """An array (count,) of integers from -128 to 127; count is a multiple of 8."""
        return self._words.random_raw(count // 8).astype("<u8").view(np.int8).astype(np.int64)

    def permutation(self, count: int) -> _Integers:
        """The integers 0 to count - 1 in random order."""
        return np.argsort(self._words.random_raw(count), kind="stable").astype(np.int64)


def _draw_image(stream: _Stream, bitmap: _Integers) -> _Bytes:
    """One image (96, 96, 3) of a digit's bitmap (8, 8)."""
    background_level = stream.integer(0, 255)
    # Modulo 256, so that ink and background differ by 96 to 160 levels whichever way round they are.
    ink_level = (background_level + stream.integer(96, 160)) % 256
    canvas = _gradient(stream, background_level)
    for _ in range(stream.integer(0, 4)):
        _draw_stroke(stream, canvas, background_level)
    coverage = _place(stream, bitmap)[:, :, np.newaxis]
    ink = ink_level + stream.integers(-32, 32, 3)
    canvas = (canvas * (_ONE - coverage) + ink * coverage) // _ONE
    noise = stream.signed_bytes(canvas.size).reshape(canvas.shape)
    canvas += noise * stream.integer(0, 24) // 128
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _gradient(stream: _Stream, level: int) -> _Integers:
    """A canvas (96, 96, 3) that fades between the random colours of a coarse grid, all close to one level."""
    points = stream.integer(2, 6)
    colours = level + stream.integers(-40, 40, points * points * 3)
    colours = np.clip(colours, 0, 255).reshape(points, points, 3)
    steps = np.arange(CANVAS) * (points - 1) * _ONE // CANVAS
    return _interpolate(colours, *np.meshgrid(steps, steps, indexing="ij")) // (_ONE * _ONE)


def _draw_stroke(stream: _Stream, canvas: _Integers, background_level: int) -> None:
    """Draws a straight line on the canvas (96, 96, 3), fainter than a digit's ink, up to five pixels wide."""
    start_y, start_x, end_y, end_x = (int(value) for value in stream.integers(0, CANVAS - 1, 4))
    length_y, length_x = end_y - start_y, end_x - start_x
    squared_length = length_y * length_y + length_x * length_x
    y, x = np.ogrid[:CANVAS, :CANVAS]
    along = (y - start_y) * length_y + (x - start_x) * length_x
    across = (y - start_y) * length_x - (x - start_x) * length_y
    half_width_in_quarters = stream.integer(2, 10)
    near = 16 * across * across < half_width_in_quarters**2 * squared_length
    colour = background_level + stream.integers(-64, 64, 3)
    canvas[near & (along >= 0) & (along <= squared_length)] = np.clip(colour, 0, 255)


def _place(stream: _Stream, bitmap: _Integers) -> _Integers:
    """How much of each pixel (96, 96) a digit's ink covers, 0 to 256, at a random size, tilt and place."""
    height = stream.integer(24, 80)
    width = height * stream.integer(85, 115) // 100
    tilt, slant = stream.integer(-40, 40), stream.integer(-32, 32)
    top, left = stream.integer(0, CANVAS - height), stream.integer(0, max(CANVAS - width, 0))
    # Distances from the digit's centre, counted in half pixels and turned into 256ths of a bitmap cell.
    half_pixels = 2 * np.arange(CANVAS) + 1
    cells_y = ((half_pixels - 2 * top - height) * _BITMAP * _ONE // (2 * height))[:, np.newaxis]
    cells_x = ((half_pixels - 2 * left - width) * _BITMAP * _ONE // (2 * width))[np.newaxis, :]
    # A cell's value belongs to its centre; the border of empty cells stands for everything around the digit.
    origin = (_BITMAP // 2 + 1) * _ONE - _ONE // 2
    last = (_BITMAP + 1) * _ONE
    source_y = np.clip(origin + cells_y - cells_x * tilt // _ONE, 0, last)
    source_x = np.clip(origin + cells_x + cells_y * (tilt + slant) // _ONE, 0, last)
    bordered = np.pad(bitmap, (1, 2))[:, :, np.newaxis]
    ink = _interpolate(bordered, source_y, source_x)[:, :, 0] // (_FULL_INK * _ONE)
    # Steeper edges: enlarged ten times, the smooth slopes between cells would leave only a blur.
    return np.clip(2 * ink - _ONE // 2, 0, _ONE)


def _interpolate(grid: _Integers, y: _Integers, x: _Integers) -> _Integers:
    """Bilinear samples of grid (rows, columns, channels) at y and x (height, width), in 256ths of a cell.

    Returns (height, width, channels), multiplied by 256 * 256. Positions stay below the last row and column,
    whose values are only ever reached as a neighbour.
    """
    row, column = y // _ONE, x // _ONE
    part_y: _Integers = (y % _ONE)[:, :, np.newaxis]
    part_x: _Integers = (x % _ONE)[:, :, np.newaxis]
    upper: _Integers = grid[row, column] * (_ONE - part_x) + grid[row, column + 1] * part_x
    lower: _Integers = grid[row + 1, column] * (_ONE - part_x) + grid[row + 1, column + 1] * part_x
    return upper * (_ONE - part_y) + lower * part_y

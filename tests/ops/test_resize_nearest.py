# SPDX-License-Identifier: Apache-2.0
"""Resizing to the nearest pixel."""

from __future__ import annotations

import itertools
from pathlib import Path

from mcukit.ops.resize_nearest import ResizeNearest
from tests.ops.harness import Case, check

CASES = (
    Case(ResizeNearest((8, 10)), maps=((1, 4, 5, 3),)),
    Case(ResizeNearest((3, 3)), maps=((1, 1, 1, 1),)),
    Case(ResizeNearest((9, 7)), maps=((1, 3, 7, 9),)),
    Case(ResizeNearest((2, 3)), maps=((1, 8, 9, 4),)),
    Case(ResizeNearest((1, 1)), maps=((1, 6, 5, 2),)),
    *(
        Case(ResizeNearest(size, align_corners, half_pixel_centers), maps=((1, 5, 7, 2),))
        for size in ((7, 10), (10, 14), (3, 4), (1, 13))
        for align_corners, half_pixel_centers in itertools.product((False, True), repeat=2)
        if not (align_corners and half_pixel_centers)
    ),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Outlines of buffers: exact where they are small, small where they are large."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mcukit.planning.lifetimes import Cells
from mcukit.report.memory import Holding
from mcukit.report.outlines import outline_path, outline_room, outlines_of


def holding(*cells: tuple[int, int, int, int]) -> Holding:
    """Of cells (start, end, born, dies)."""
    arrays = Cells(*(np.array(column) for column in zip(*cells, strict=True)))
    start, end = int(arrays.start.min()), int(arrays.end.max())
    return Holding(("map",), "map", "ram", start, end - start, len(cells), 1, len(cells), 1, arrays)


def tens(ticks: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return 10.0 * ticks.astype(np.float64)


@pytest.mark.parametrize(
    ("cells", "path"),
    [
        ([(0, 5, 0, 0)], "M0 100H0V95H10V100Z"),
        ([(0, 5, 0, 1), (5, 10, 1, 2)], "M0 100H0V95H10V90H30V95H20V100Z"),
        ([(0, 5, 0, 1), (5, 10, 0, 1), (10, 15, 1, 1)], "M0 100H0V90H10V85H20V90H20V100Z"),
        ([(0, 5, 0, 0), (0, 5, 3, 3)], "M0 100H0V95H10V100ZM30 100H30V95H40V100Z"),
        ([(0, 5, 0, 0), (10, 15, 0, 0)], "M0 100H0V95H10V100ZM0 90H0V85H10V90Z"),
        ([(0, 5, 0, 0), (5, 10, 1, 1)], "M0 100H0V95H10V100ZM10 95H10V90H20V95Z"),
        ([(0, 1, 0, 0)], "M0 100H0V98H10V100Z"),
    ],
    ids=["row", "rows", "equal rows", "twice", "gap", "apart in time", "thin"],
)
def test_paths(cells: list[tuple[int, int, int, int]], path: str) -> None:
    (outline,) = outlines_of([holding(*cells)], tens, 1.0)
    assert outline_path(outline, 100.0) == path


def test_an_outline_covers_every_cell() -> None:
    generator = np.random.default_rng(0)
    born = np.sort(generator.integers(0, 900, 300))
    cells = [(8 * i, 8 * i + 8, int(b), int(b) + 40) for i, b in enumerate(born)]
    (outline,) = outlines_of([holding(*cells)], tens, 0.05)
    for start, end, first, last in cells:
        over = (outline.low <= start * 0.05 + 1e-9) & (outline.high >= end * 0.05 - 1e-9)
        assert (over & (outline.left <= 10.0 * first) & (outline.right >= 10.0 * (last + 1))).any()


def test_many_rows_make_a_small_path() -> None:
    rows = 5000
    maps = [
        holding(*((i, i + 1, tick, tick + rows) for i, tick in enumerate(range(k * rows, (k + 1) * rows))))
        for k in range(20)
    ]
    scratch = holding(*((0, 64, tick, tick) for tick in range(0, 100_000, 2)))
    outlines = outlines_of([*maps, scratch], lambda ticks: ticks.astype(np.float64) / 100, 0.08)
    paths = [outline_path(outline, 400.0) for outline in outlines]
    assert sum(map(len, paths)) < 300_000
    assert min(map(len, paths)) > 0


def test_labels_lie_inside() -> None:
    cells = [(4 * i, 4 * i + 4, i, i + 12) for i in range(30)]
    (outline,) = outlines_of([holding(*cells)], tens, 1.0)
    for upright in (False, True):
        room = outline_room(outline, 30.0, upright)
        assert room is not None
        x, y = room
        half = (6.0, 15.0) if upright else (15.0, 6.0)
        covered = (outline.low < y + half[1]) & (outline.high > y - half[1])
        assert outline.low.min() <= y - half[1]
        assert outline.high.max() >= y + half[1]
        assert (outline.left[covered] <= x - half[0]).all()
        assert (outline.right[covered] >= x + half[0]).all()
    assert outline_room(outline, 500.0, upright=False) is None

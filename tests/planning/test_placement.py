# SPDX-License-Identifier: Apache-2.0
"""Rows that are alive together never share a byte; where the best arena is known, it is found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcukit.planning.lifetimes import BufferNeed, Cells
from mcukit.planning.placement import ALIGNMENT, Conflicts, live_bytes, place

Rows = tuple[int, list[tuple[int, int]]]
"""Bytes of a row, and from which tick to which tick each row is alive, both included."""


def buffer(row_bytes: int, lives: list[tuple[int, int]], name: str = "map") -> BufferNeed:
    start = np.arange(len(lives), dtype=np.int64) * row_bytes
    born, dies = (np.array([life[end] for life in lives], np.int64) for end in (0, 1))
    cells = Cells(start, start + row_bytes, born, dies)
    return BufferNeed((name,), False, row_bytes * len(lives), len(lives), 1, cells, 1.0)


def buffers_from(rows: list[Rows]) -> list[BufferNeed]:
    return [buffer(row_bytes, lives, f"map{index}") for index, (row_bytes, lives) in enumerate(rows)]


def whole(row_bytes: int, first: int, last: int) -> Rows:
    """A buffer that is alive as one."""
    return row_bytes, [(first, last)]


def overlap(a: BufferNeed, b: BufferNeed, distance: int) -> bool:
    """Whether rows that are alive together share a byte where b lies `distance` bytes behind a."""
    pairs = itertools.product(range(len(a.cells.start)), range(len(b.cells.start)))
    return any(
        a.cells.born[i] <= b.cells.dies[j]
        and b.cells.born[j] <= a.cells.dies[i]
        and a.cells.start[i] < b.cells.end[j] + distance
        and b.cells.start[j] + distance < a.cells.end[i]
        for i, j in pairs
    )


lives = st.tuples(st.integers(-1, 20), st.integers(0, 8)).map(lambda life: (life[0], life[0] + life[1]))
some_rows = st.tuples(st.integers(1, 40), st.lists(lives, min_size=1, max_size=6))


@given(st.lists(some_rows, min_size=1, max_size=12))
def test_no_two_rows_alive_together_share_a_byte(rows: list[Rows]) -> None:
    buffers = buffers_from(rows)
    offsets, arena = place(Conflicts(buffers))
    assert sorted(offsets) == list(range(len(buffers)))
    assert min(offsets.values()) == 0
    assert all(offset % ALIGNMENT == 0 for offset in offsets.values())
    end = max(offsets[position] + each.bytes for position, each in enumerate(buffers))
    assert arena == -(-end // ALIGNMENT) * ALIGNMENT
    assert arena >= live_bytes(buffers)
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert not overlap(buffers[i], buffers[j], offsets[j] - offsets[i])


@given(some_rows, some_rows)
def test_conflicts_are_exactly_the_distances_that_overlap(first: Rows, second: Rows) -> None:
    buffers = buffers_from([first, second])
    conflicts = Conflicts(buffers)
    spans = conflicts.between(0, 1)
    assert list(spans) == sorted(spans)
    reach = buffers[0].bytes + buffers[1].bytes
    for distance in range(-reach, reach + 1):
        forbidden = any(low <= distance <= high for low, high in spans)
        assert forbidden == overlap(buffers[0], buffers[1], distance), distance
    assert conflicts.between(1, 0) == tuple((-high, -low) for low, high in reversed(spans))


@given(st.lists(some_rows, min_size=1, max_size=8))
def test_live_bytes_are_those_of_the_fullest_tick(rows: list[Rows]) -> None:
    def alive(tick: int) -> int:
        return sum(size * sum(born <= tick <= dies for born, dies in lives) for size, lives in rows)

    assert live_bytes(buffers_from(rows)) == max(alive(tick) for tick in range(-1, 30))


@pytest.mark.parametrize(
    ("rows", "arena"),
    [
        ([whole(5, 0, 0)], 8),
        ([whole(64, 0, 1), whole(32, 1, 2), whole(64, 2, 3)], 96),  # a chain: the third in the first's place
        ([whole(64, 0, 1), whole(64, 2, 3), whole(64, 4, 4)], 64),
        ([whole(16, 0, 9), whole(64, 0, 1), whole(64, 1, 2)], 144),  # a residual that spans a chain
        ([whole(8, 0, 0), whole(8, 0, 0), whole(8, 0, 0)], 24),
        ([whole(100, 0, 1), whole(40, 2, 2), whole(60, 2, 2)], 100),  # two that fit where one was
        # Each row of the second map is born when the one at its place has died: one row more than either map.
        ([(8, [(-1, 0), (-1, 1), (-1, 2)]), (8, [(0, 9), (1, 9), (2, 9)])], 32),
        # The other way round the second map must be clear of the first one, but for what both don't need at once.
        ([(8, [(-1, 2), (-1, 1), (-1, 0)]), (8, [(0, 9), (1, 9), (2, 9)])], 48),
        ([(8, [(0, 5), (0, 1)]), (8, [(2, 5)])], 16),  # into the half that is free by then
        ([whole(6, 0, 0), whole(6, 0, 0)], 16),  # both begin at words
    ],
)
def test_the_arena_is_tight(rows: list[Rows], arena: int) -> None:
    assert place(Conflicts(buffers_from(rows)))[1] == arena
    assert place(Conflicts(buffers_from(rows[::-1])))[1] == arena


@given(st.lists(some_rows, min_size=1, max_size=8), st.sets(st.integers(0, 7)))
def test_some_buffers_alone_lie_as_if_there_were_no_others(rows: list[Rows], chosen: set[int]) -> None:
    members = [position for position in range(len(rows)) if position in chosen]
    buffers = buffers_from(rows)
    offsets, arena = place(Conflicts(buffers), members)
    alone, size = place(Conflicts([buffers[position] for position in members]))
    assert (sorted(offsets), arena) == (members, size)
    assert [offsets[position] for position in members] == [alone[index] for index in range(len(members))]


def test_nothing_needs_no_arena() -> None:
    assert place(Conflicts([])) == ({}, 0)


@given(st.lists(some_rows, min_size=1, max_size=10))
def test_a_plan_is_the_same_every_time(rows: list[Rows]) -> None:
    assert place(Conflicts(buffers_from(rows))) == place(Conflicts(buffers_from(rows)))

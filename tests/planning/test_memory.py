# SPDX-License-Identifier: Apache-2.0
"""Buffers that are alive together never share a byte; where the best arena is known, it is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcukit.planning.memory import ALIGNMENT, Buffer, place


def buffers_from(rows: list[tuple[int, int, int]]) -> list[Buffer]:
    return [Buffer(f"b{i}", size, first, first + length) for i, (size, first, length) in enumerate(rows)]


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(-1, 12), st.integers(0, 6)), max_size=24))
def test_no_two_buffers_alive_together_overlap(rows: list[tuple[int, int, int]]) -> None:
    buffers = buffers_from(rows)
    offsets, arena = place(buffers)
    assert len(offsets) == len(buffers)
    for i, (a, start) in enumerate(zip(buffers, offsets, strict=True)):
        assert start >= 0
        assert start % ALIGNMENT == 0
        assert start + a.bytes <= arena
        for b, other in zip(buffers[:i], offsets[:i], strict=True):
            if a.first <= b.last and b.first <= a.last:
                assert start + a.bytes <= other or other + b.bytes <= start
    assert arena % ALIGNMENT == 0
    assert arena <= sum(-(-b.bytes // ALIGNMENT) * ALIGNMENT for b in buffers)


@pytest.mark.parametrize(
    ("rows", "arena"),
    [
        ([], 0),
        ([(5, 0, 0)], 8),
        ([(64, 0, 1), (32, 1, 1), (64, 2, 1)], 96),  # a chain: neighbours side by side, the third in the first's place
        ([(64, 0, 1), (64, 2, 1), (64, 4, 0)], 64),
        ([(16, 0, 9), (64, 0, 1), (64, 1, 1), (64, 2, 1)], 144),  # a residual that spans a chain
        ([(8, 0, 0), (8, 0, 0), (8, 0, 0)], 24),
        ([(100, 0, 1), (40, 2, 0), (60, 2, 0)], 100),  # two that fit where one was
    ],
)
def test_the_arena_is_tight(rows: list[tuple[int, int, int]], arena: int) -> None:
    assert place(buffers_from(rows))[1] == arena


def test_equal_names_and_equal_buffers_are_kept_apart() -> None:
    offsets, arena = place([Buffer("same", 8, 0, 1), Buffer("same", 8, 0, 1), Buffer("same", 4, 1, 1)])
    assert sorted(offsets) == [0, 8, 16]
    assert arena == 20


def test_the_order_of_equal_buffers_does_not_change_the_arena() -> None:
    rows = [(12, 0, 3), (8, 1, 1), (8, 2, 2), (4, 0, 0)]
    assert place(buffers_from(rows))[1] == place(buffers_from(rows[::-1]))[1]

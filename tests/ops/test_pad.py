# SPDX-License-Identifier: Apache-2.0
"""Padding with a constant."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops.pad import Pad, PadInt8
from tests.ops.harness import Case, check

CASES = (
    Case(Pad((1, 1, 1, 1)), maps=((1, 4, 5, 3),)),
    Case(Pad((0, 0, 1, 1)), maps=((1, 3, 3, 8),)),
    Case(Pad((2, 0, 3, 1)), maps=((1, 1, 1, 1),)),
    Case(Pad((0, 3, 0, 0)), maps=((1, 5, 2, 9),)),
    Case(Pad((0, 0, 0, 0), (2, 1)), maps=((1, 3, 4, 5),)),
    Case(Pad((1, 2, 3, 4), (0, 7)), maps=((1, 2, 3, 1),)),
    Case(Pad((1, 0, 0, 2), (3, 0), 1.5), maps=((1, 4, 3, 2),)),
    Case(Pad((1, 1, 1, 1), value=-0.75), maps=((1, 3, 5, 6),)),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)


@pytest.mark.parametrize(("value", "byte"), [(0.0, 3), (1.0, 13), (-0.26, 0), (1e9, 127), (-1e9, -128)])
def test_the_constant_is_rounded_and_saturates(value: float, byte: int) -> None:
    maps = [Tensor(name, (1, 1, 1, 1), None, Quantization.per_tensor(0.1, 3)) for name in ("input", "output")]
    integers = Pad((1, 0, 0, 0), value=value).lower(maps[:1], maps[1])
    assert isinstance(integers, PadInt8)
    assert integers.value == byte


def test_rows_of_padding_need_no_input() -> None:
    pad, source = Pad((2, 0, 3, 0)), [Tensor("map", (1, 4, 4, 1))]
    rows = [pad.input_rows(row, row + 1, source, 0) for row in range(9)]
    assert [(first, last) for first, last in rows if first < last] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [row for row, (first, last) in enumerate(rows) if first == last] == [0, 1, 6, 7, 8]


def test_a_map_larger_than_any_microcontroller_is_refused() -> None:
    with pytest.raises(McukitError, match="would make a map"):
        Pad((2**31, 0, 0, 0)).output_shape([Tensor("map", (1, 4, 4, 1))])

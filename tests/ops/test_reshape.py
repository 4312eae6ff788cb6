# SPDX-License-Identifier: Apache-2.0
"""Reshapes, which are another look at the same bytes."""

from __future__ import annotations

import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Shape, Tensor
from mcukit.ops.reshape import Reshape
from tests.ops.harness import Case, check

CASES = (
    Case(Reshape((1, 60)), maps=((1, 4, 5, 3),)),
    Case(Reshape((1, 5, 4, 3)), maps=((1, 60),)),
    Case(Reshape((1, 3, 2, 10)), maps=((1, 5, 4, 3),)),
    Case(Reshape((1, 6, 2)), maps=((1, 3, 1, 4),)),
    Case(Reshape((1, 1, 1, 9)), maps=((1, 9),)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_executor_computes_the_same(case: Case) -> None:
    check([case])


def test_rows_are_those_that_hold_the_bytes() -> None:
    reshape, source = Reshape((1, 3, 2, 10)), [Tensor("map", (1, 5, 4, 3))]
    assert [reshape.input_rows(row, row + 1, source, 0) for row in range(3)] == [(0, 2), (1, 4), (3, 5)]


@pytest.mark.parametrize("shape", [(1, 61), (2, 30), (60,), (1, 1, 1, 1, 60), (1, -1)])
def test_impossible_shapes_are_refused(shape: Shape) -> None:
    with pytest.raises(McukitError, match="can't be seen as"):
        Reshape(shape).output_shape([Tensor("map", (1, 60))])

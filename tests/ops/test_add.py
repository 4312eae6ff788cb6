# SPDX-License-Identifier: Apache-2.0
"""Sums of two operands."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1
from mcukit.ops.add import Add
from tests.ops.harness import Case, check

CASES = (
    Case(Add(), maps=((1, 5, 7, 3), (1, 5, 7, 3))),
    Case(Add(RELU), maps=((1, 6, 1, 8), (1, 6, 1, 8)), seed=1),
    Case(Add(RELU6), maps=((1, 3, 5, 9), (1, 1, 1, 9)), seed=2),
    Case(Add(RELU_N1_TO_1), maps=((1, 1, 1, 5), (1, 4, 3, 5)), seed=3),
    Case(Add(), maps=((1, 4, 7, 1), (1, 4, 7, 6)), seed=4),
    Case(Add(), maps=((1, 4, 7, 6), (1, 4, 7, 1)), seed=5),
    Case(Add(), maps=((1, 3, 3, 4), (1, 1, 1, 1)), seed=6),
    Case(Add(), maps=((1, 7), (1, 7)), seed=7),
    Case(Add(), maps=((1, 5, 3, 7),), constants=((1, 1, 1, 7),), seed=8),
    Case(Add(RELU6), maps=((1, 5, 3, 2),), constants=((2,),), seed=9),
    Case(Add(), maps=((1, 3, 9, 4),), constants=((1, 3, 9, 4),), seed=10),
    Case(Add(RELU), maps=((1, 3, 9, 4),), constants=((1, 3, 9, 1),), seed=11),
    Case(Add(), maps=((1, 3, 4, 3),), constants=((1, 3, 1, 1),), seed=12),
    Case(Add(), maps=((1, 3, 4, 3),), constants=((1, 1, 4, 1),), seed=13),
    Case(Add(), maps=((1, 2, 2, 6),), constants=((),), seed=14),
    Case(Add(), maps=((1, 1, 1, 6),), constants=((1, 4, 5, 6),), seed=15),
    Case(Add(), maps=((1, 9),), constants=((9,),), seed=16),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

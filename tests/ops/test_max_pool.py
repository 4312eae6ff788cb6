# SPDX-License-Identifier: Apache-2.0
"""Max pooling."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.window import Window
from tests.ops.harness import Case, check

CASES = (
    Case(MaxPool(Window((2, 2), (2, 2))), maps=((1, 6, 6, 4),)),
    Case(MaxPool(Window((2, 2), (2, 2))), maps=((1, 7, 5, 3),)),
    Case(MaxPool(Window((1, 1))), maps=((1, 1, 1, 1),)),
    Case(MaxPool(Window((3, 3), (1, 1), pads=(1, 1, 1, 1))), maps=((1, 5, 7, 9),)),
    Case(MaxPool(Window((3, 3), (2, 2), pads=(1, 1, 1, 1))), maps=((1, 7, 7, 5),)),
    Case(MaxPool(Window((3, 3), (2, 2), pads=(0, 0, 1, 1))), maps=((1, 8, 8, 2),)),
    Case(MaxPool(Window((3, 2), (2, 3), pads=(2, 1, 1, 0))), maps=((1, 9, 8, 7),)),
    Case(MaxPool(Window((5, 1), (1, 2), pads=(2, 0, 3, 0))), maps=((1, 4, 9, 1),)),
    Case(MaxPool(Window((1, 4), (3, 1), pads=(0, 3, 0, 2))), maps=((1, 7, 3, 6),)),
    Case(MaxPool(Window((6, 5))), maps=((1, 6, 5, 8),)),
    Case(MaxPool(Window((2, 2), (2, 2)), RELU), maps=((1, 4, 4, 3),)),
    Case(MaxPool(Window((3, 3), (1, 1), pads=(1, 1, 1, 1)), RELU6), maps=((1, 5, 5, 2),)),
    Case(MaxPool(Window((2, 3), (1, 2), pads=(1, 0, 0, 2)), RELU_N1_TO_1), maps=((1, 5, 6, 4),)),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

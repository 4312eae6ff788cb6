# SPDX-License-Identifier: Apache-2.0
"""Average pooling: padding doesn't count, halves are rounded away from zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Tensor
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1
from mcukit.ops.average_pool import AveragePool, AveragePoolInt8
from mcukit.ops.window import Window
from tests.ops.harness import Case, check

CASES = (
    Case(AveragePool(Window((2, 2), (2, 2))), maps=((1, 6, 6, 4),)),
    Case(AveragePool(Window((2, 2), (2, 2))), maps=((1, 7, 5, 3),)),
    Case(AveragePool(Window((1, 1))), maps=((1, 1, 1, 1),)),
    Case(AveragePool(Window((3, 3), pads=(1, 1, 1, 1))), maps=((1, 5, 7, 9),)),
    Case(AveragePool(Window((3, 3), (2, 2), pads=(1, 1, 1, 1))), maps=((1, 7, 9, 5),)),
    Case(AveragePool(Window((3, 3), (2, 2), pads=(0, 0, 1, 1))), maps=((1, 8, 8, 2),)),
    Case(AveragePool(Window((4, 2), (1, 1), pads=(1, 0, 2, 1))), maps=((1, 5, 3, 7),)),
    Case(AveragePool(Window((7, 5))), maps=((1, 7, 5, 8),)),
    Case(AveragePool(Window((13, 9))), maps=((1, 13, 9, 1),)),
    Case(AveragePool(Window((2, 2), (2, 2)), RELU), maps=((1, 4, 4, 3),)),
    Case(AveragePool(Window((3, 3), pads=(1, 1, 1, 1)), RELU6), maps=((1, 5, 5, 2),)),
    Case(AveragePool(Window((2, 3)), RELU_N1_TO_1), maps=((1, 5, 6, 6),)),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)


@pytest.mark.parametrize(("values", "mean"), [((1, 2), 2), ((-1, -2), -2), ((0, 1), 1), ((0, -1), -1), ((-1, 1), 0)])
def test_halves_are_rounded_away_from_zero(values: tuple[int, int], mean: int) -> None:
    pool = AveragePoolInt8(Window((1, 2)), (1, 1, 1), -128, 127)
    assert pool.evaluate([np.array(values, np.int8).reshape(1, 1, 2, 1)]).item() == mean


def test_a_window_of_nothing_but_padding_is_refused() -> None:
    pool = AveragePool(Window((1, 1), pads=(1, 0, 0, 0)))
    with pytest.raises(McukitError, match="only padding"):
        pool.output_shape([Tensor("map", (1, 3, 3, 1))])

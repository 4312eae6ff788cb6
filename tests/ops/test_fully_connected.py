# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers, on vectors and on whole maps."""

from __future__ import annotations

import pytest

from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1
from mcukit.ops.fully_connected import FullyConnected
from tests.ops.harness import Case, check

CASES = (
    Case(FullyConnected(), maps=((1, 1),), constants=((1, 1), (1,))),
    Case(FullyConnected(), maps=((1, 64),), constants=((10, 64), (10,))),
    Case(FullyConnected(), maps=((1, 37),), constants=((1, 37), (1,))),
    Case(FullyConnected(), maps=((1, 5),), constants=((9, 5), (9,))),
    Case(FullyConnected(), maps=((1, 640),), constants=((7, 640), (7,))),
    Case(FullyConnected(), maps=((1, 1, 1, 8),), constants=((3, 8), (3,))),
    Case(FullyConnected(), maps=((1, 5, 3, 7),), constants=((4, 105), (4,))),
    Case(FullyConnected(), maps=((1, 4, 1, 2),), constants=((5, 8), (5,))),
    Case(FullyConnected(RELU), maps=((1, 3, 3, 4),), constants=((6, 36), (6,))),
    Case(FullyConnected(RELU6), maps=((1, 20),), constants=((8, 20), (8,))),
    Case(FullyConnected(RELU_N1_TO_1), maps=((1, 20),), constants=((3, 20), (3,))),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_executor_computes_the_same(case: Case) -> None:
    check([case])

# SPDX-License-Identifier: Apache-2.0
"""ReLU, ReLU6 and other clips as operators of their own."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, UNBOUNDED, Clamp
from mcukit.ops.relu import Clip
from tests.ops.harness import Case, check

CASES = (
    Case(Clip(RELU), maps=((1, 5, 7, 3),)),
    Case(Clip(RELU6), maps=((1, 1, 9, 1),), seed=1),
    Case(Clip(RELU_N1_TO_1), maps=((1, 6, 3, 8),), seed=2),
    Case(Clip(Clamp(-0.5, 0.25)), maps=((1, 10),), seed=3),
    Case(Clip(Clamp(maximum=0.5)), maps=((1, 4, 5, 9),), seed=4),
    Case(Clip(Clamp(minimum=-0.125)), maps=((1, 4, 5, 2),), seed=5),
    Case(Clip(UNBOUNDED), maps=((1, 3, 3, 7),), seed=6),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

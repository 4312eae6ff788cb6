# SPDX-License-Identifier: Apache-2.0
"""Hyperbolic tangent."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.tanh import Tanh
from tests.ops.harness import Case, check

CASES = (
    Case(Tanh(), maps=((1, 5, 7, 3),)),
    Case(Tanh(), maps=((1, 1, 9, 1),), seed=1),
    Case(Tanh(), maps=((1, 6, 3, 8),), seed=2),
    Case(Tanh(), maps=((1, 10),), seed=3),
    Case(Tanh(), maps=((1, 4, 5, 9),), seed=4),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

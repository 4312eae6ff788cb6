# SPDX-License-Identifier: Apache-2.0
"""Softmax over channels."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.softmax import Softmax
from tests.ops.harness import Case, check

CASES = (
    Case(Softmax(), maps=((1, 10),)),
    Case(Softmax(), maps=((1, 5, 7, 3),), seed=1),
    Case(Softmax(0.5), maps=((1, 1, 9, 2),), seed=2),
    Case(Softmax(4.0), maps=((1, 3, 4, 9),), seed=3),
    Case(Softmax(), maps=((1, 2, 3, 1),), seed=4),
    Case(Softmax(), maps=((1, 5, 7),), seed=5),
    Case(Softmax(), maps=((1, 1, 1, 511),), seed=6),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

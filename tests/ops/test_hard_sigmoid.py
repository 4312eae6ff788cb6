# SPDX-License-Identifier: Apache-2.0
"""min(max(alpha * x + beta, 0), 1)."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.hard_sigmoid import HardSigmoid
from tests.ops.harness import Case, check

CASES = (
    Case(HardSigmoid(0.2, 0.5), maps=((1, 5, 7, 3),)),
    Case(HardSigmoid(1 / 6, 0.5), maps=((1, 1, 9, 1),), seed=1),
    Case(HardSigmoid(1.0, 0.0), maps=((1, 6, 3, 8),), seed=2),
    Case(HardSigmoid(0.5, 0.25), maps=((1, 10),), seed=3),
    Case(HardSigmoid(0.1, 0.97), maps=((1, 4, 5, 9),), seed=4),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

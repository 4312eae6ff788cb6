# SPDX-License-Identifier: Apache-2.0
"""x where it is positive, alpha * x elsewhere."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.leaky_relu import LeakyRelu
from tests.ops.harness import Case, check

CASES = (
    Case(LeakyRelu(0.01), maps=((1, 5, 7, 3),)),
    Case(LeakyRelu(0.3), maps=((1, 1, 9, 1),), seed=1),
    Case(LeakyRelu(0.0), maps=((1, 6, 3, 8),), seed=2),
    Case(LeakyRelu(1.5), maps=((1, 10),), seed=3),
    Case(LeakyRelu(-0.5), maps=((1, 4, 5, 9),), seed=4),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

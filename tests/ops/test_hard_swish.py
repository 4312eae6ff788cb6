# SPDX-License-Identifier: Apache-2.0
"""x * min(max(x + 3, 0), 6) / 6."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.hard_swish import HardSwish
from tests.ops.harness import Case, check

CASES = (
    Case(HardSwish(), maps=((1, 5, 7, 3),)),
    Case(HardSwish(), maps=((1, 1, 9, 1),), seed=1),
    Case(HardSwish(), maps=((1, 6, 3, 8),), seed=2),
    Case(HardSwish(), maps=((1, 10),), seed=3),
    Case(HardSwish(), maps=((1, 4, 5, 9),), seed=4),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""The requantized mean over height and width."""

from __future__ import annotations

from pathlib import Path

from mcukit.ops.mean import Mean
from tests.ops.harness import Case, check

CASES = (
    Case(Mean(), maps=((1, 1, 1, 1),)),
    Case(Mean(), maps=((1, 7, 7, 9),)),
    Case(Mean(), maps=((1, 4, 8, 3),)),
    Case(Mean(), maps=((1, 3, 1, 5),)),
    Case(Mean(keep_dims=False), maps=((1, 5, 3, 8),)),
    Case(Mean(keep_dims=False), maps=((1, 1, 6, 2),)),
    Case(Mean(keep_dims=False), maps=((1, 23, 17, 4),)),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)

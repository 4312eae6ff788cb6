# SPDX-License-Identifier: Apache-2.0
"""Concatenation of channels."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Tensor
from mcukit.ops.concat import Concat
from tests.ops.harness import Case, check

CASES = (
    Case(Concat(), maps=((1, 4, 5, 3), (1, 4, 5, 2))),
    Case(Concat(), maps=((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1))),
    Case(Concat(), maps=((1, 3, 7, 9), (1, 3, 7, 1), (1, 3, 7, 4), (1, 3, 7, 6))),
    Case(Concat(), maps=((1, 5), (1, 8), (1, 1))),
    Case(Concat(), maps=((1, 2, 3, 4),)),
    # More than TFLite Micro takes at once.
    Case(Concat(), maps=tuple((1, 2, 3, 1 + i % 3) for i in range(23))),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)


def test_maps_of_different_size_are_refused() -> None:
    with pytest.raises(McukitError, match="side by side"):
        Concat().output_shape([Tensor("a", (1, 4, 5, 3)), Tensor("b", (1, 4, 6, 3))])

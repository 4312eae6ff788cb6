# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of the arena's blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcukit.planning.plan import Plan
from mcukit.report.memory import MemoryBlock, memory_blocks


def test_lifetimes(content: dict[str, Any], plan: Plan) -> None:
    assert memory_blocks(plan, content["layers"]) == (
        MemoryBlock(("image",), 0, 64, -1, 2),
        MemoryBlock(("a", "b"), 64, 128, 0, 2),
        MemoryBlock(("first",), 320, 80, 0, 0, scratch=True),
        MemoryBlock(("c",), 192, 128, 2, 3),
    )


def test_unknown_lifetimes_give_no_blocks(content: dict[str, Any], plan: Plan) -> None:
    assert memory_blocks(replace(plan, schedule="stream"), content["layers"]) == ()
    del content["layers"][1]["inputs"]
    assert memory_blocks(plan, content["layers"]) == ()

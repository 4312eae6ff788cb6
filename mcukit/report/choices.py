# SPDX-License-Identifier: Apache-2.0
"""Choices of bits and plans for people: error against bytes, instructions and BitOPs."""

from __future__ import annotations

__all__ = ["choices_view"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.units import count, ratio

if TYPE_CHECKING:
    from mcukit.workflow.explore import Choice, Exploration

_COLUMNS = (
    Column("#", right=True),
    Column("added error", right=True),
    Column("SRAM B", right=True),
    Column("weights B", right=True),
    Column("instructions", right=True),
    Column("BitOPs fewer", right=True),
    Column("maps 4, 2 bits", right=True),
    Column("weights 4, 2 bits", right=True),
    Column("schedule", whole=True),
)


def choices_view(found: Exploration, files: Sequence[Path]) -> list[Block]:
    """All choices; files: the plans that were written, if any were."""
    rows = tuple(_row(number, choice, found) for number, choice in enumerate(found.choices, start=1))
    facts = [
        ("added error", "at the output over calibration images, simulated; 0 is 8 bits everywhere"),
        ("instructions", f"estimated for {found.target}"),
        ("BitOPs fewer", f"than {count(found.bitops)} of 8 bits, nothing computed twice"),
    ]
    if files:
        facts.append(("take one", f"mcukit quantize MODEL ... --plan {files[0]}"))
    return [Line(found.name, "title"), Table(_COLUMNS, rows), Line(""), Facts(tuple(facts))]


def _row(number: int, choice: Choice, found: Exploration) -> tuple[str, ...]:
    maps, weights = choice.precision.maps.values(), choice.precision.weights.values()
    return (
        str(number),
        ratio(max(choice.added, 0.0)),
        count(choice.plan.arena_bytes),
        count(choice.weight_bytes),
        count(choice.found.instructions),
        f"{found.bitops / choice.bitops:.2f}x",
        *(f"{[*bits].count(4)}, {[*bits].count(2)}" for bits in (maps, weights)),
        choice.plan.schedule + ", rows pushed" * choice.plan.pushed,
    )

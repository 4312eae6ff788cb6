# SPDX-License-Identifier: Apache-2.0
"""The front of plans for people: SRAM against multiply-accumulates."""

from __future__ import annotations

__all__ = ["plans_view"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.units import count, percent, short_name

if TYPE_CHECKING:
    from mcukit.planning.search import FoundPlan
    from mcukit.workflow.plans import PlanFront

_COLUMNS = (
    Column("SRAM B", right=True),
    Column("MACs", right=True),
    Column("computed again", right=True),
    Column("instructions", right=True),
    Column("stages", whole=True),
    Column("optimal", whole=True),
)


def plans_view(front: PlanFront) -> list[Block]:
    """The plans that no other one beats, with the input whole and pushed, and the usual patch grids beside them."""
    blocks: list[Block] = [Line(front.name, "title"), Line("the whole input in memory:"), _table(front, front.plans)]
    if front.pushed:
        blocks += [Line(""), Line("rows of the input pushed by the application (--push-rows):")]
        blocks.append(_table(front, front.pushed))
    if front.grids:
        blocks += [Line(""), Line("the usual grids of patches, each split where the arena is smallest, then layers:")]
        columns = (Column("grid", whole=True), Column("split after"), *_COLUMNS[:4])
        rows = tuple(
            (f"{cost.grid[0]} x {cost.grid[1]}", short_name(cost.split), *_cells(front, cost.found)[:4])
            for cost in front.grids
        )
        blocks.append(Table(columns, rows))
    facts = (
        ("multiply-accumulates of the network", count(front.macs)),
        ("instructions", f"estimated for {front.target}"),
        ("optimal", "no plan of the searched stages that fits the same SRAM costs less"),
    )
    return [*blocks, Line(""), Facts(facts)]


def _table(front: PlanFront, plans: Sequence[FoundPlan]) -> Table:
    return Table(_COLUMNS, tuple(_cells(front, found) for found in plans))


def _cells(front: PlanFront, found: FoundPlan) -> tuple[str, ...]:
    gap = found.instructions / max(found.bound, 1) - 1
    return (
        count(found.plan.arena_bytes),
        count(found.macs),
        percent(100 * found.macs_redundant / max(front.macs, 1)),
        count(found.instructions),
        _stages(found),
        "yes" if found.optimal else f"within {percent(100 * gap)}",
    )


def _stages(found: FoundPlan) -> str:
    """Such as "stream 8, layers 22": how each stage runs, and of how many layers it is."""
    texts = []
    for stage in found.plan.stages:
        grid = f" {stage.tile_rows}x{stage.tile_columns}" if stage.tiled else ""
        texts.append(f"{stage.schedule}{grid} {len(stage.layers)}")
    return ", ".join(texts) if len(texts) <= 5 else f"{', '.join(texts[:4])}, and {len(texts) - 4} more"

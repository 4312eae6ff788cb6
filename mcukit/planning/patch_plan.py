# SPDX-License-Identifier: Apache-2.0
"""The patch-based plan of MCUNetV2 and QuantMCU: first layers in a grid of patches, the others one by one."""

from __future__ import annotations

__all__ = ["SQUARE_GRIDS", "smallest_patch_plan"]

from collections.abc import Sequence

from mcukit.errors import McukitError
from mcukit.planning.candidates import LAYER_BY_LAYER, Shape
from mcukit.planning.costs import CostTable
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo
from mcukit.planning.search import FoundPlan, PlanSearch
from mcukit.quantities import counted

SQUARE_GRIDS = tuple((size, size) for size in (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16))


def smallest_patch_plan(
    flow: Dataflow,
    costs: CostTable,
    budget: int,
    grids: Sequence[tuple[int, int]] = SQUARE_GRIDS,
    *,
    two_forms: bool = False,
) -> FoundPlan:
    """The plan with the fewest patches whose arena fits the budget, and of its splits the one of fewest instructions.

    grids: rows and columns of patches, from the fewest patches to the most. two_forms: whether they must be such that
    each can have a precision of its own.
    Raises McukitError "budget-exceeded" with the bytes that are missing where no grid fits.
    """
    searches = []
    for rows, columns in grids:
        shape = Shape(rows, columns, Halo.RECOMPUTED)
        searches.append(PlanSearch(flow, costs, (LAYER_BY_LAYER, shape), first=(shape,), two_forms=two_forms))
        found = searches[-1].cheapest(budget)
        if found is not None:
            return found
    arenas = [found.plan.arena_bytes for search in searches if (found := search.smallest()) is not None]
    needed = (
        f"the smallest needs {counted(min(arenas) - budget, 'byte')} more" if arenas else "no patches can be formed"
    )
    raise McukitError(
        "budget-exceeded",
        f"no grid of up to {grids[-1][0]} x {grids[-1][1]} patches fits {budget:,} bytes of SRAM: {needed}",
        where=flow.model.name,
        hint="give a larger budget, or use streaming: --plan auto",
    )

# SPDX-License-Identifier: Apache-2.0
"""The plan of the fewest patches that fit, against plans of single grids."""

from __future__ import annotations

import re

import pytest

from mcukit.errors import McukitError
from mcukit.planning.costs import DEFAULT_TARGET, load_costs
from mcukit.planning.patch_plan import smallest_patch_plan
from mcukit.planning.plan import Halo
from mcukit.planning.search import FoundPlan
from tests.float_networks import classifier, dataflow

GRIDS = ((2, 2), (3, 3), (5, 5))
NO_LIMIT = 1 << 30
FLOW = dataflow(classifier())
COSTS = load_costs(DEFAULT_TARGET)


def plan(budget: int, grids: tuple[tuple[int, int], ...] = GRIDS) -> FoundPlan:
    return smallest_patch_plan(FLOW, COSTS, budget, grids)


def smallest_arena(grid: tuple[int, int]) -> int:
    """The bytes that a grid needs, as the refusal of too few of them says."""
    with pytest.raises(McukitError) as caught:
        plan(1, (grid,))
    return 1 + missing(caught.value)


def missing(error: McukitError) -> int:
    (problem,) = error.problems
    assert problem.code == "budget-exceeded"
    found = re.search(r"the smallest needs ([\d,]+) bytes more", problem.message)
    assert found
    return int(found[1].replace(",", ""))


def grid_of(found: FoundPlan) -> tuple[int, int]:
    first = found.plan.stages[0]
    assert first.halo is Halo.RECOMPUTED
    return first.tile_rows, first.tile_columns


def test_the_fewest_patches_that_fit_are_taken() -> None:
    arenas = [smallest_arena(grid) for grid in GRIDS]
    assert arenas == sorted(set(arenas), reverse=True)
    for grid, arena in zip(GRIDS, arenas, strict=True):
        found = plan(arena)
        assert grid_of(found) == grid
        assert found.plan.arena_bytes == arena
    # One byte less, and it takes the next grid.
    assert [grid_of(plan(arena - 1)) for arena in arenas[:-1]] == list(GRIDS[1:])


def test_of_a_grid_the_split_of_fewest_instructions_is_taken() -> None:
    tight, roomy = plan(smallest_arena((2, 2))), plan(NO_LIMIT)
    assert grid_of(tight) == grid_of(roomy) == (2, 2)
    assert roomy.instructions <= tight.instructions
    assert len(roomy.plan.stages[0].layers) <= len(tight.plan.stages[0].layers)


def test_layers_behind_the_patches_run_one_by_one() -> None:
    assert [stage.schedule for stage in plan(NO_LIMIT).plan.stages] == ["patches", "layers"]


def test_a_budget_that_no_grid_fits_names_the_bytes_that_are_missing() -> None:
    least = min(smallest_arena(grid) for grid in GRIDS)
    with pytest.raises(McukitError, match=r"no grid of up to 5 x 5 patches fits .* bytes of SRAM") as caught:
        plan(least - 7)
    assert missing(caught.value) == 7
    assert caught.value.problems[0].where == "network"
    assert "--plan auto" in caught.value.problems[0].hint


def test_a_network_that_can_not_be_cut() -> None:
    with pytest.raises(McukitError, match="no patches can be formed"):
        plan(NO_LIMIT, ((13, 13),))

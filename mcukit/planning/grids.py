# SPDX-License-Identifier: Apache-2.0
"""What the usual patch grids cost beside streaming: the comparison that decides between them."""

from __future__ import annotations

__all__ = ["USUAL_GRIDS", "GridCost", "SplitCost", "grid_costs", "split_costs"]

from dataclasses import dataclass

from mcukit.planning.candidates import LAYER_BY_LAYER, Shape
from mcukit.planning.costs import CostTable
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.search import FoundPlan, PlanSearch
from mcukit.planning.tiles import stage_tiles, tile_macs

USUAL_GRIDS = ((2, 2), (3, 3), (4, 4))


@dataclass(frozen=True)
class GridCost:
    """A network with its first layers in a grid of patches and the rest layer by layer, as MCUNetV2 runs it.

    grid: rows and columns of tiles. split: the last layer of the patches. found: the plan, at the split with the
    smallest arena.
    """

    grid: tuple[int, int]
    split: str
    found: FoundPlan


def grid_costs(
    flow: Dataflow, costs: CostTable, grids: tuple[tuple[int, int], ...] = USUAL_GRIDS
) -> tuple[GridCost, ...]:
    """For every grid that can be formed the split point with the smallest arena."""
    results = []
    for rows, columns in grids:
        shape = Shape(rows, columns, Halo.RECOMPUTED)
        found = PlanSearch(flow, costs, (LAYER_BY_LAYER, shape), first=(shape,)).smallest()
        if found is not None:
            results.append(GridCost((rows, columns), found.plan.stages[0].layers[-1], found))
    return tuple(results)


@dataclass(frozen=True)
class SplitCost:
    """Multiply-accumulates of a network whose first layers run in patches, by split point.

    last: the last layer of the patches. shape: height, width and channels of its output. macs: of the whole network, by
    grid; without the grids that the map is too small for.
    """

    last: str
    shape: tuple[int, int, int]
    macs: dict[tuple[int, int], int]


def split_costs(flow: Dataflow, grids: tuple[tuple[int, int], ...] = USUAL_GRIDS) -> tuple[SplitCost, ...]:
    """What patches compute again for every natural split point: a map smaller than those before and after it."""
    names = tuple(layer.name for layer in flow.layers)
    sizes = [flow.whole(layer.output).pixels * flow.shape(layer.output)[2] for layer in flow.layers]
    results = []
    for index in range(1, len(sizes) - 1):
        height, width, channels = flow.shape(flow.layers[index].output)
        if not sizes[index - 1] >= sizes[index] < sizes[index + 1]:
            continue
        macs = {}
        for grid in grids:
            if grid[0] <= height and grid[1] <= width:
                tiles = stage_tiles(flow, 0, index + 1, Stage(names[: index + 1], *grid))
                macs[grid] = tile_macs(flow, tiles) + sum(flow.macs[index + 1 :])
        if macs:
            results.append(SplitCost(names[index], (height, width, channels), macs))
    return tuple(results)

# SPDX-License-Identifier: Apache-2.0
"""The stage that a model with branches prescribes: which layers run in tiles, and in which grid."""

from __future__ import annotations

__all__ = ["branch_stage", "branch_tiles", "check_branch_stage", "tiles_can_differ"]

import itertools
from collections.abc import Iterator

from mcukit.errors import McukitError
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.tiles import StageTiles, stage_tiles
from mcukit.quantities import counted


def branch_stage(flow: Dataflow) -> Stage | None:
    """The first stage of every plan of the model; None where it has no branches."""
    branches = flow.model.branches
    if branches is None:
        return None
    names = tuple(layer.name for layer in flow.layers[: len(branches.layers)])
    return Stage(names, branches.tile_rows, branches.tile_columns)


def branch_tiles(flow: Dataflow) -> StageTiles:
    """What the tiles of that stage compute.

    Raises McukitError "bad-stage" where the grid is none for these layers, or tiles would write over each other: what
    leaves the stage must not depend on the order of tiles.
    """
    stage = branch_stage(flow)
    if stage is None:
        raise ValueError("the model has no branches")
    tiles = stage_tiles(flow, 0, len(stage.layers), stage)
    for name in _written_twice(flow, tiles):
        raise McukitError(
            "bad-stage",
            f"'{name}' leaves the stage and is read with a halo inside of it: tiles of two precisions would "
            "write over each other",
            where=flow.layers[flow.producer[name]].name,
            hint="end the stage at another layer",
        )
    return tiles


def tiles_can_differ(flow: Dataflow, tiles: StageTiles) -> bool:
    """Whether tiles of a first stage can have two precisions: none writes over another, and no view lies among them."""
    has_views = any(layer.kernel is None for layer in flow.model.layers[: tiles.last])
    return not has_views and not any(_written_twice(flow, tiles))


def _written_twice(flow: Dataflow, tiles: StageTiles) -> Iterator[str]:
    """Maps that leave the stage of which tiles compute some pixels again, because others read them with a halo."""
    for name in tiles.outgoing:
        position = flow.producer[name] - tiles.first
        for spans in (tiles.rows, tiles.columns):
            own = [part[position] for part in spans]
            if any(before[1] > after[0] for before, after in itertools.pairwise(own)):
                yield name
                break


def check_branch_stage(flow: Dataflow, first: Stage | None, pushed: bool) -> None:
    """Raises McukitError "bad-stage" where a plan does not begin with the stage that the model prescribes."""
    stage = branch_stage(flow)
    if stage is None:
        return
    if first != stage or pushed:
        raise McukitError(
            "bad-stage",
            f"the network's tiles have two precisions: its first stage is {counted(len(stage.layers), 'layer')} in "
            f"{stage.tile_rows} x {stage.tile_columns} patches of an input that is held whole",
            where=flow.layers[0].name,
            hint="leave the first stage as mcukit wrote it, or quantize again without --vdpc",
        )
    branch_tiles(flow)

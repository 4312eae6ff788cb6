# SPDX-License-Identifier: Apache-2.0
"""What the stages of a plan do, in words and tables."""

from __future__ import annotations

__all__ = ["StageView", "group_number", "ring_table", "stage_groups", "stage_views", "stages_table", "tile_table"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.receptive_field import ReceptiveField, StageWork, receptive_fields, stage_work
from mcukit.planning.tiles import StageTiles
from mcukit.quantities import counted
from mcukit.report.blocks import Column, Table
from mcukit.report.memory import Holding
from mcukit.report.tile_picture import TilePicture, tile_picture
from mcukit.report.units import ABSENT, count, layer_numbers, short_name

_NARROW = 22
"""Letters of a layer's name in a table that stands beside a picture."""

_MEANING = {
    "layers": "One layer after the other, every map whole.",
    "stream": "The layers take turns row by row; maps are rings of the rows that are still to be read.",
    "patches": "Tile by tile, in each tile layer by layer; what tiles both need is computed again.",
    "strips": "Strip by strip, in each strip row by row; columns that strips both need are computed again.",
}


@dataclass(frozen=True)
class StageView:
    """A stage that doesn't simply hold its maps whole.

    picture, tiles: of one that is cut into tiles. rings: of one whose rows advance one by one.
    """

    title: str
    meaning: str
    picture: TilePicture | None
    tiles: Table | None
    rings: Table | None


def stage_groups(stages: Sequence[Stage]) -> tuple[range, ...]:
    """Positions of stages, those that follow each other and all go layer by layer together."""
    groups: list[range] = []
    for index, stage in enumerate(stages):
        if groups and stage.schedule == stages[index - 1].schedule == "layers":
            groups[-1] = range(groups[-1].start, index + 1)
        else:
            groups.append(range(index, index + 1))
    return tuple(groups)


def group_number(group: range) -> str:
    """What a reader calls these stages: "3", "4 to 9"."""
    return _span(group.start + 1, group.stop)


def stages_table(flow: Dataflow, stages: Sequence[StageTiles]) -> Table:
    """A row for each group of stages, and one for all."""
    columns = (
        Column("stage", whole=True),
        Column("schedule", whole=True),
        Column("layers", whole=True),
        Column("tiles", right=True),
        Column("MACs", right=True),
        Column("computed again", right=True),
        Column("share", right=True),
    )
    numbers = layer_numbers(flow.model)
    works = [stage_work(flow, tiles) for tiles in stages]
    rows = [
        (
            group_number(group),
            works[group.start].stage.schedule,
            _span(numbers[works[group.start].stage.layers[0]], numbers[works[group[-1]].stage.layers[-1]]),
            _grid(works[group.start].stage),
            *_macs([works[index] for index in group]),
        )
        for group in stage_groups([work.stage for work in works])
    ]
    return Table(columns, (*rows, ("all", "", "", "", *_macs(works))))


def stage_views(
    flow: Dataflow, plan: Plan, stages: Sequence[StageTiles], holdings: Sequence[Holding]
) -> tuple[StageView, ...]:
    """Views of the stages that are cut into tiles or stream, in order. holdings: of all memory regions."""
    fields = receptive_fields(flow.model)
    owners = {name: holding.names[0] for holding in holdings if holding.kind != "scratch" for name in holding.names}
    return tuple(
        _view(flow, plan, index, tiles, owners, fields)
        for index, tiles in enumerate(stages)
        if tiles.stage.schedule != "layers"
    )


def _view(
    flow: Dataflow,
    plan: Plan,
    index: int,
    tiles: StageTiles,
    owners: Mapping[str, str],
    fields: Mapping[str, ReceptiveField],
) -> StageView:
    stage = tiles.stage
    grid = f", {stage.tile_rows} x {stage.tile_columns} tiles" if stage.tiled else ""
    layers = counted(len(stage.layers), "layer")
    names = [flow.model.input.name] if plan.pushed and index == 0 else []
    names += [layer.output for layer in flow.layers[tiles.first : tiles.last]]
    return StageView(
        title=f"Stage {index + 1}: {stage.schedule}{grid}, {layers}",
        meaning=_MEANING[stage.schedule],
        picture=tile_picture(flow, tiles) if stage.tiled else None,
        tiles=tile_table(flow, stage_work(flow, tiles)) if stage.tiled else None,
        rings=ring_table(flow, plan, names, owners, fields) if stage.halo is Halo.KEPT else None,
    )


def tile_table(flow: Dataflow, work: StageWork) -> Table:
    """What the tiles of a stage compute of each layer, and how much of it again."""
    columns = (
        Column("#", right=True),
        Column("operator", whole=True),
        Column("layer", whole=True),
        Column("map", right=True),
        Column("tile", right=True),
        Column("with halo", right=True),
        Column("again", right=True),
        Column("MACs", right=True),
        Column("MACs again", right=True),
    )
    numbers = layer_numbers(flow.model)
    operators = {layer.name: layer.node.operator.op_name for layer in flow.layers}
    rows = [
        (
            str(numbers[layer.layer]),
            operators[layer.layer],
            short_name(layer.layer, _NARROW),
            f"{layer.height} x {layer.width}",
            f"{layer.share_rows} x {layer.share_columns}",
            f"{layer.tile_rows} x {layer.tile_columns}",
            f"{100 * layer.halo_share:.1f} %",
            count(layer.macs),
            count(layer.macs_redundant),
        )
        for layer in work.layers
    ]
    again = _percent(work.macs_redundant, work.macs)
    total = ("", "all", "", "", "", "", again, count(work.macs), count(work.macs_redundant))
    return Table(columns, (*rows, total))


def ring_table(
    flow: Dataflow,
    plan: Plan,
    names: Sequence[str],
    owners: Mapping[str, str],
    fields: Mapping[str, ReceptiveField],
) -> Table:
    """What a streaming stage holds of each of its maps, and what it would hold without rings.

    names: of the maps. owners: the first map in the memory of each map, itself or one that it writes over.
    """
    columns = (
        Column("#", right=True),
        Column("map"),
        Column("rows held", right=True),
        Column("columns", right=True),
        Column("bytes held", right=True),
        Column("whole map", right=True),
        Column("saved", right=True),
        Column("receptive field", right=True),
    )
    numbers = {layer.output: str(number) for number, layer in enumerate(flow.model.layers, start=1)}
    rows = []
    held_bytes = whole_bytes = 0
    for name in names:
        height, width, _ = flow.shape(name)
        place, whole = plan.maps[name], height * flow.form(name).row_bytes
        alone = owners[name] == name
        if alone:
            held_bytes, whole_bytes = held_bytes + place.bytes, whole_bytes + whole
        rows.append(
            (
                numbers.get(name, ""),
                short_name(name),
                f"{place.rows} of {height}",
                f"{place.columns} of {width}",
                count(place.bytes) if alone else f"in that of {numbers.get(owners[name], 'the input')}",
                count(whole),
                _percent(whole - place.bytes, whole),
                f"{fields[name].rows} x {fields[name].columns}",
            )
        )
    saved = _percent(whole_bytes - held_bytes, whole_bytes)
    return Table(columns, (*rows, ("", "all", "", "", count(held_bytes), count(whole_bytes), saved, "")))


def _grid(stage: Stage) -> str:
    return f"{stage.tile_rows} x {stage.tile_columns}" if stage.tiled else ABSENT


def _macs(works: Sequence[StageWork]) -> tuple[str, str, str]:
    macs, redundant = sum(work.macs for work in works), sum(work.macs_redundant for work in works)
    return count(macs), count(redundant), _percent(redundant, macs)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ABSENT


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"

# SPDX-License-Identifier: Apache-2.0
"""What each tile of a stage computes: the receptive fields of the tiles, layer by layer."""

from __future__ import annotations

__all__ = ["Span", "StageTiles", "computed_pixels", "redundant_macs", "stage_tiles", "tile_macs"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcukit.errors import McukitError
from mcukit.graph.region import Region
from mcukit.planning.dataflow import Dataflow, Source
from mcukit.planning.plan import Halo, Stage

Span = tuple[int, int]
"""Rows or columns [first, last); none where first == last."""

_NONE = (0, 0)


@dataclass(frozen=True, eq=False)
class StageTiles:
    """A stage with what its tiles compute. Rows depend on a tile's row in the grid alone, columns on its column.

    first, last: its layers, as positions [first, last) in Dataflow.layers.
    outgoing: maps of the stage that are read after it or are outputs of the network. They are held whole.
    incoming: maps from before the stage that it reads.
    rows: by row of the grid and layer of the stage: output rows that the layer computes there. columns: the same.
    input_rows, input_columns: by row and column of the grid: what is read of each incoming map.
    """

    stage: Stage
    first: int
    last: int
    outgoing: tuple[str, ...]
    incoming: tuple[str, ...]
    rows: tuple[tuple[Span, ...], ...]
    columns: tuple[tuple[Span, ...], ...]
    input_rows: tuple[Mapping[str, Span], ...]
    input_columns: tuple[Mapping[str, Span], ...]

    @cached_property
    def regions(self) -> Mapping[tuple[int, int], tuple[Region, ...]]:
        """By tile (row, column) of the grid, in the order in which tiles run: what each layer computes."""
        return {
            (row, column): tuple(_region(rows, columns) for rows, columns in zip(by_row, by_column, strict=True))
            for row, by_row in enumerate(self.rows)
            for column, by_column in enumerate(self.columns)
        }

    @cached_property
    def inputs(self) -> Mapping[tuple[int, int], Mapping[str, Region]]:
        """By tile: what it reads of each incoming map."""
        return {
            (row, column): {name: _region(by_row[name], by_column[name]) for name in self.incoming}
            for row, by_row in enumerate(self.input_rows)
            for column, by_column in enumerate(self.input_columns)
        }


def stage_tiles(flow: Dataflow, first: int, last: int, stage: Stage) -> StageTiles:
    """What the tiles of a stage of the layers [first, last) compute.

    Raises McukitError "bad-stage" where the stage can't be cut like this.
    """
    _check(flow, stage, last)
    outgoing = _outgoing(flow, first, last)
    incoming = tuple(
        dict.fromkeys(
            source.map
            for sources in flow.sources[first:last]
            for source in sources
            if flow.producer[source.map] < first
        )
    )
    layers = range(first, last)
    whole_rows = not stage.tiled and stage.halo is Halo.RECOMPUTED
    by_row = [
        _spans(flow, layers, incoming, outgoing, _Axis(0, flow.needed_rows, whole_rows, (part, stage.tile_rows)))
        for part in range(stage.tile_rows)
    ]
    by_column = [
        _spans(
            flow,
            layers,
            incoming,
            outgoing,
            _Axis(1, flow.needed_columns, stage.tile_columns == 1, (part, stage.tile_columns)),
        )
        for part in range(stage.tile_columns)
    ]
    return StageTiles(
        stage,
        first,
        last,
        outgoing,
        incoming,
        tuple(spans for spans, _ in by_row),
        tuple(spans for spans, _ in by_column),
        tuple(inputs for _, inputs in by_row),
        tuple(inputs for _, inputs in by_column),
    )


def tile_macs(flow: Dataflow, tiles: StageTiles) -> int:
    """Multiply-accumulates of a stage, with what tiles compute again."""
    total = 0
    for index in range(tiles.first, tiles.last):
        # Every pixel of a map costs the same.
        pixels = flow.whole(flow.layers[index].output).pixels
        total += flow.macs[index] * computed_pixels(tiles, index) // pixels
    return total


def redundant_macs(flow: Dataflow, tiles: StageTiles) -> int:
    """Multiply-accumulates that tiles compute again. Pixels that no one needs are left out, and make up for nothing."""
    total = 0
    for index in range(tiles.first, tiles.last):
        position = index - tiles.first
        pixels = flow.whole(flow.layers[index].output).pixels
        once = 1
        for spans in (tiles.rows, tiles.columns):
            computed = [part[position] for part in spans if part[position][0] < part[position][1]]
            once *= max((last for _, last in computed), default=0) - min((first for first, _ in computed), default=0)
        total += flow.macs[index] * (computed_pixels(tiles, index) - once) // pixels
    return total


def computed_pixels(tiles: StageTiles, index: int) -> int:
    """Pixels that a layer of the stage computes in all tiles together."""
    position = index - tiles.first
    rows = sum(spans[position][1] - spans[position][0] for spans in tiles.rows)
    columns = sum(spans[position][1] - spans[position][0] for spans in tiles.columns)
    return rows * columns


@dataclass(frozen=True, eq=False)
class _Axis:
    """Rows or columns. whole: whether maps are computed in their whole extent. part: number and count of the shares."""

    number: int
    needed: Callable[[int, Source, int, int], Span]
    whole: bool
    part: tuple[int, int]


def _spans(
    flow: Dataflow, layers: range, incoming: Sequence[str], outgoing: Sequence[str], axis: _Axis
) -> tuple[tuple[Span, ...], dict[str, Span]]:
    """What one part of the grid computes of every layer and reads of every incoming map.

    From the part's share of the outgoing maps back through all that these need.
    """
    wanted: dict[str, Span] = {}
    for index in reversed(layers):
        name = flow.layers[index].output
        size = flow.shape(name)[axis.number]
        span = wanted.get(name, _NONE)
        if name in outgoing:
            span = _hull(span, (axis.part[0] * size // axis.part[1], (axis.part[0] + 1) * size // axis.part[1]))
        if axis.whole:
            span = (0, size)
        wanted[name] = span
        if span == _NONE:
            continue
        for source in flow.sources[index]:
            needed = axis.needed(index, source, *span)
            wanted[source.map] = _hull(wanted.get(source.map, _NONE), needed)
    spans = tuple(wanted[flow.layers[index].output] for index in layers)
    return spans, {name: wanted.get(name, _NONE) for name in incoming}


def _hull(a: Span, b: Span) -> Span:
    if b[0] >= b[1]:
        return a if a[0] < a[1] else _NONE
    if a[0] >= a[1]:
        return b
    return min(a[0], b[0]), max(a[1], b[1])


def _region(rows: Span, columns: Span) -> Region:
    return Region(rows[0], rows[1], columns[0], columns[1])


def _outgoing(flow: Dataflow, first: int, last: int) -> tuple[str, ...]:
    """Maps of the stage that someone else needs. A map that no one needs at all is computed as the model says."""
    return tuple(
        layer.output
        for layer in flow.layers[first:last]
        if layer.output in flow.outputs
        or not flow.readers[layer.output]
        or any(not first <= reader < last for reader in flow.readers[layer.output])
    )


def _check(flow: Dataflow, stage: Stage, last: int) -> None:
    """Refuses grids that make no sense for these layers."""
    final = flow.layers[last - 1]
    height, width, _ = flow.shape(final.output)
    grid = f"{stage.tile_rows} x {stage.tile_columns} tiles"
    if stage.tile_rows < 1 or stage.tile_columns < 1:
        reason, hint = f"a grid of {grid} has no tiles", "give at least one row and one column"
    elif stage.halo is Halo.KEPT and stage.tile_rows > 1:
        reason, hint = (
            f"a grid of {grid} keeps no halo rows",
            "rows whose halo is kept advance one by one: use one tile row",
        )
    elif stage.tile_rows > height or stage.tile_columns > width:
        reason = f"a map of {height} x {width} pixels can't be cut into {grid}"
        hint = "use a smaller grid, or end the stage at an earlier layer"
    else:
        return
    raise McukitError("bad-stage", reason, where=final.name, hint=hint)

# SPDX-License-Identifier: Apache-2.0
"""The tiles of a stage on the map that it reads: each tile's share, and what it reads beside that."""

from __future__ import annotations

__all__ = ["TilePicture", "TileShape", "tile_picture"]

from collections.abc import Mapping
from dataclasses import dataclass

from mcukit.graph.region import Region
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.receptive_field import grid_shares
from mcukit.planning.tiles import StageTiles
from mcukit.report.blocks import printable
from mcukit.report.map_canvas import MapCanvas, Rectangle
from mcukit.report.units import short_name

_LARGEST_SIDE = 340.0
_SHORTEST_SIDE = 60.0
_MOST_TILES = 1024
"""Of a grid with more tiles only the chosen one is drawn: the others would be a few pixels each."""


@dataclass(frozen=True)
class TileShape:
    """share: the tile's part of the map if it were cut without halos. reads: what the tile needs of it."""

    share: Rectangle
    reads: Rectangle
    title: str


@dataclass(frozen=True)
class TilePicture:
    """A map of `width` x `height` units with the tiles on it. chosen: the tile that reads most, to be shown at once."""

    width: float
    height: float
    map: Rectangle
    tiles: tuple[TileShape, ...]
    chosen: TileShape
    facts: str


def tile_picture(flow: Dataflow, tiles: StageTiles) -> TilePicture:
    """The picture of a stage on the largest of the maps that it reads."""
    name = max(tiles.incoming, key=lambda incoming: flow.whole(incoming).pixels)
    whole = flow.whole(name)
    canvas = MapCanvas(whole, _LARGEST_SIDE, _SHORTEST_SIDE)
    reads = {tile: inputs.get(name, Region(0, 0, 0, 0)) for tile, inputs in tiles.inputs.items()}
    shares = grid_shares(whole.rows, whole.columns, tiles.stage)
    largest = max(reads, key=lambda tile: reads[tile].pixels)

    def shape(tile: tuple[int, int]) -> TileShape:
        return TileShape(canvas.rectangle(shares[tile]), canvas.rectangle(reads[tile]), _title(tile, shares, reads))

    return TilePicture(
        width=canvas.width,
        height=canvas.height,
        map=canvas.rectangle(whole),
        tiles=tuple(shape(tile) for tile in reads) if len(reads) <= _MOST_TILES else (),
        chosen=shape(largest),
        facts=_facts(flow, name, largest, shares, reads),
    )


def _title(
    tile: tuple[int, int], shares: Mapping[tuple[int, int], Region], reads: Mapping[tuple[int, int], Region]
) -> str:
    read = reads[tile]
    return (
        f"tile {tile[0] + 1}, {tile[1] + 1}\nshare {_extent(shares[tile])}\nreads {_extent(read)}: "
        f"rows {read.first_row} to {read.last_row - 1}, columns {read.first_column} to {read.last_column - 1}"
    )


def _facts(
    flow: Dataflow,
    name: str,
    largest: tuple[int, int],
    shares: Mapping[tuple[int, int], Region],
    reads: Mapping[tuple[int, int], Region],
) -> str:
    whole = flow.whole(name)
    shown = "the network's input" if name == flow.model.input.name else f"the map {printable(short_name(name))}"
    times = sum(region.pixels for region in reads.values()) / whole.pixels
    row, column = largest
    share, read = _extent(shares[largest]), _extent(reads[largest])
    return (
        f"The tiles on {shown}, {_extent(whole)} pixels, the stronger the colour the more tiles read them: {times:.2f} "
        f"times on average. Outlined is tile {row + 1}, {column + 1}, which for its share of {share} reads {read}."
    )


def _extent(region: Region) -> str:
    return f"{region.rows} x {region.columns}"

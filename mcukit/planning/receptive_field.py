# SPDX-License-Identifier: Apache-2.0
"""What pixels depend on, and what tiles pay for it: receptive fields, halos, and work that is done again."""

from __future__ import annotations

__all__ = ["LayerWork", "ReceptiveField", "StageWork", "grid_shares", "receptive_fields", "stage_work"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import map_shape
from mcukit.graph.region import Region
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.integer import IntegerModel, Layer

_Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReceptiveField:
    """The most rows and columns of the network's input that a pixel of a map depends on.

    Never more than the input has: what lies in padding is not counted.
    """

    rows: int
    columns: int


@dataclass(frozen=True)
class LayerWork:
    """What the tiles of a stage compute of one layer.

    layer, output: the names of the layer and of its map. height, width: of the map, in pixels.
    share_rows, share_columns: of the largest tile if each pixel were computed by one tile only.
    tile_rows, tile_columns: of the largest tile that is computed, halo included.
    pixels: that are computed at all; a map may have some that no one reads. computed_pixels: in all tiles together.
    macs: of the whole layer, each pixel once. macs_computed: in all tiles. macs_redundant: what of it is done again.
    """

    layer: str
    output: str
    height: int
    width: int
    share_rows: int
    share_columns: int
    tile_rows: int
    tile_columns: int
    pixels: int
    computed_pixels: int
    macs: int
    macs_computed: int
    macs_redundant: int

    @property
    def halo_share(self) -> float:
        """Pixels computed again for each pixel that is needed once: 0.25 is a quarter more."""
        return (self.computed_pixels - self.pixels) / self.pixels if self.pixels else 0.0


@dataclass(frozen=True)
class StageWork:
    """What a stage computes, layer by layer."""

    stage: Stage
    layers: tuple[LayerWork, ...]

    @property
    def macs(self) -> int:
        """Of the stage's layers, each pixel once."""
        return sum(layer.macs for layer in self.layers)

    @property
    def macs_computed(self) -> int:
        """With what tiles compute again, without pixels that no tile needs."""
        return sum(layer.macs_computed for layer in self.layers)

    @property
    def macs_redundant(self) -> int:
        """Of `macs_computed`, what another tile had computed before."""
        return sum(layer.macs_redundant for layer in self.layers)


def receptive_fields(model: IntegerModel) -> dict[str, ReceptiveField]:
    """The receptive field of every feature map, by tensor name; that of the input is one pixel."""
    rows, columns = (_extents(model, axis) for axis in (0, 1))
    return {name: ReceptiveField(rows[name], columns[name]) for name in rows}


def stage_work(flow: Dataflow, tiles: StageTiles) -> StageWork:
    """What the tiles of a stage compute, and how much of it again."""
    layers = flow.layers[tiles.first : tiles.last]
    regions = tiles.regions.values()
    return StageWork(
        tiles.stage,
        tuple(_layer_work(flow, tiles.stage, layer, [tile[i] for tile in regions]) for i, layer in enumerate(layers)),
    )


def grid_shares(height: int, width: int, stage: Stage) -> dict[tuple[int, int], Region]:
    """A map of height x width pixels cut into the grid of a stage, without halos, by tile (row, column)."""
    rows, columns = stage.tile_rows, stage.tile_columns
    return {
        (row, column): Region(
            row * height // rows,
            (row + 1) * height // rows,
            column * width // columns,
            (column + 1) * width // columns,
        )
        for row in range(rows)
        for column in range(columns)
    }


def _layer_work(flow: Dataflow, stage: Stage, layer: Layer, regions: Sequence[Region]) -> LayerWork:
    graph = flow.model.graph
    height, width, _ = flow.shape(layer.output)
    macs = layer.node.operator.macs(graph.node_inputs(layer.node), graph.tensors[layer.output])
    computed = sum(region.pixels for region in regions)
    distinct = _distinct_pixels(regions, height, width)
    # Every pixel of a map costs the same.
    macs_computed, macs_distinct = (macs * pixels // (height * width) for pixels in (computed, distinct))
    return LayerWork(
        layer=layer.name,
        output=layer.output,
        height=height,
        width=width,
        share_rows=-(-height // stage.tile_rows),
        share_columns=-(-width // stage.tile_columns),
        tile_rows=max(region.rows for region in regions),
        tile_columns=max(region.columns for region in regions),
        pixels=distinct,
        computed_pixels=computed,
        macs=macs,
        macs_computed=macs_computed,
        macs_redundant=macs_computed - macs_distinct,
    )


def _distinct_pixels(regions: Sequence[Region], height: int, width: int) -> int:
    """Pixels that lie in one region at least."""
    if len(regions) == 1:
        return regions[0].pixels
    covered = np.zeros((height, width), np.bool_)
    for region in regions:
        if region.pixels:
            covered[region.first_row : region.last_row, region.first_column : region.last_column] = True
    return int(covered.sum())


def _extents(model: IntegerModel, axis: int) -> dict[str, int]:
    """For every map the most rows (axis 0) or columns (axis 1) of the input that one of its own depends on."""
    size = map_shape(model.input.shape)[axis]
    positions = np.arange(size)
    # Where nothing of the input is needed, the span is [size, 0): neutral for the minimum and for the maximum.
    spans = {model.input.name: (positions, positions + 1)}
    for layer in model.layers:
        spans[layer.output] = _layer_spans(model, layer, axis, size, [spans[name] for name in layer.inputs])
    return {name: int((last - first).max(initial=0)) for name, (first, last) in spans.items()}


def _layer_spans(
    model: IntegerModel, layer: Layer, axis: int, size: int, sources: Sequence[tuple[_Positions, _Positions]]
) -> tuple[_Positions, _Positions]:
    """First and last of the input, the last excluded, for each row or column of the layer's output."""
    inputs = model.graph.node_inputs(layer.node)
    length = map_shape(model.graph.tensors[layer.output].shape)[axis]
    operator = layer.node.operator
    needed = operator.input_columns if axis else operator.input_rows
    first, last = np.full(length, size), np.zeros(length, np.int64)
    for index, (source_first, source_last) in enumerate(sources):
        for position in range(length):
            a, b = needed(position, position + 1, inputs, index)
            if a < b:
                first[position] = min(first[position], source_first[a:b].min())
                last[position] = max(last[position], source_last[a:b].max())
    return first, last

# SPDX-License-Identifier: Apache-2.0
"""The integer reference of layers that run in tiles of two precisions, in NumPy."""

from __future__ import annotations

__all__ = ["BranchMaps", "run_branches", "wide_images"]

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcukit.graph.region import Region
from mcukit.planning.branch_stage import branch_tiles
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.layout import needed_region
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.branches import Branches, narrow_name
from mcukit.quantized.integer import IntegerModel

Int8Array = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(eq=False)
class BranchMaps:
    """What tiles computed: arrays (N, height, width, channels) by map, and by map and image where there is something.

    A map of narrow tiles has a name of its own; one that leaves the stage is whole under its first name.
    """

    maps: dict[str, Int8Array] = field(default_factory=dict)
    computed: dict[str, BoolArray] = field(default_factory=dict)


def wide_images(branches: Branches, tile: tuple[int, int], part: Int8Array) -> BoolArray:
    """For which of (N, ...) images a tile is wide. part: what the tile reads of the map that enters the stage."""
    if branches.test is not None:
        return branches.test.finds(part, branches.count(tile))
    return np.full(len(part), tile in branches.wide)


def run_branches(model: IntegerModel, inputs: Int8Array) -> BranchMaps:
    """Every map of the tiled layers of a model with branches. inputs: (N, height, width, channels)."""
    if model.branches is None:
        raise ValueError("the model has no branches")
    flow = Dataflow(model)
    tiles = branch_tiles(flow)
    result = BranchMaps({model.input.name: inputs})
    for layer in flow.layers[: tiles.last]:
        for name in (layer.output, narrow_name(layer.output)):
            height, width, channels = flow.shape(layer.output)
            result.maps[name] = np.zeros((len(inputs), height, width, channels), np.int8)
            result.computed[name] = np.zeros((len(inputs), height, width), np.bool_)
    for tile, read in tiles.inputs.items():
        wide = wide_images(model.branches, tile, _part(inputs, read[model.input.name]))
        for narrow, images in ((False, wide), (True, ~wide)):
            if images.any():
                _run_tile(flow, tiles, tile, result, narrow=narrow, images=np.flatnonzero(images))
    return result


def _run_tile(
    flow: Dataflow,
    tiles: StageTiles,
    tile: tuple[int, int],
    result: BranchMaps,
    *,
    narrow: bool,
    images: npt.NDArray[np.intp],
) -> None:
    """The layers of one tile, in one of their forms, for some of the images."""
    for index, region in enumerate(tiles.regions[tile]):
        if not region.pixels:
            continue
        layer = flow.layers[index]
        parts = [needed_region(flow, index, source, region) for source in flow.sources[index]]
        # Tiles recompute what they share: a form has only read what it has written itself.
        names = [
            narrow_name(source.map) if narrow and source.map in result.computed else source.map
            for source in flow.sources[index]
        ]
        operands = [_part(result.maps[name][images], part) for name, part in zip(names, parts, strict=True)]
        operator = (flow.narrow[index] if narrow else layer).operator
        values = operator.crop(region, parts).evaluate(operands)
        written = {narrow_name(layer.output) if narrow else layer.output}
        if layer.output in tiles.outgoing:
            written.add(layer.output)
        for name in written:
            place = slice(region.first_row, region.last_row), slice(region.first_column, region.last_column)
            result.maps[name][images, *place] = values
            result.computed[name][images, *place] = True


def _part(values: Int8Array, region: Region) -> Int8Array:
    return values[:, region.first_row : region.last_row, region.first_column : region.last_column]

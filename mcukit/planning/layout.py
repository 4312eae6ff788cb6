# SPDX-License-Identifier: Apache-2.0
"""Where the rows of maps lie: a plan's places together with what each tile holds."""

from __future__ import annotations

__all__ = ["Layout", "Span", "needed_region", "whole_span"]

from collections.abc import Sequence
from dataclasses import dataclass

from mcukit.graph.region import Region
from mcukit.planning.dataflow import INPUT, Dataflow, Source
from mcukit.planning.plan import Place, Plan
from mcukit.planning.tiles import StageTiles


@dataclass(frozen=True)
class Span:
    """Bytes [start, end) of a memory region's arena."""

    region: str
    start: int
    end: int

    def shared(self, other: Span) -> int:
        """How many bytes both have."""
        if self.region != other.region:
            return 0
        return max(min(self.end, other.end) - max(self.start, other.start), 0)


class Layout:
    """Addresses of rows under a plan.

    A map is held whole if it leaves its stage, is viewed, belongs to a stage without tiles and without rings, or is an
    input that arrives in one piece. Any other one holds what its stage's current tile needs of it: columns from the
    tile's first one on, row y at row y modulo Place.rows.
    """

    def __init__(self, flow: Dataflow, stages: Sequence[StageTiles], plan: Plan) -> None:
        self.flow = flow
        self.stages = tuple(stages)
        self.plan = plan
        self._stage_of = {
            flow.layers[index].output: tiles for tiles in stages for index in range(tiles.first, tiles.last)
        }
        self.whole: frozenset[str] = frozenset(name for name in flow.producer if self._held_whole(name))
        """Maps that are held whole."""

    def _held_whole(self, name: str) -> bool:
        if self.flow.producer[name] == INPUT:
            return not self.plan.pushed
        tiles = self._stage_of[name]
        return name in tiles.outgoing or name in self.flow.viewed or tiles.stage.schedule == "layers"

    def held(self, name: str, tile: tuple[int, int]) -> Region:
        """What of a map its buffer holds, over time, while a tile of its stage runs."""
        if name in self.whole or self.flow.producer[name] == INPUT:
            return self.flow.whole(name)
        tiles = self._stage_of[name]
        return tiles.regions[tile][self.flow.producer[name] - tiles.first]

    def least_columns(self, name: str) -> int:
        """Columns that a map's buffer must have: those of the widest tile."""
        if name in self.whole or self.flow.producer[name] == INPUT:
            return self.flow.whole(name).columns
        return max((self.held(name, tile).columns for tile in self._stage_of[name].regions), default=0)

    def spans(self, name: str, tile: tuple[int, int], region: Region, *, narrow: bool = False) -> list[Span]:
        """Where the rows of a part of a map lie while a tile of its stage runs; none for a part without pixels.

        narrow: in a tile of narrow maps. Rows begin where they do in the others, and are shorter.
        """
        if not region.pixels:
            return []
        place = self.plan.maps[name]
        row_bytes = place.columns * self.flow.form(name).pixel_bytes
        pixel_bytes = (self.flow.narrow_form(name) if narrow else self.flow.form(name)).pixel_bytes
        first = place.offset + (region.first_column - self.held(name, tile).first_column) * pixel_bytes
        size = region.columns * pixel_bytes
        starts = (first + row % place.rows * row_bytes for row in range(region.first_row, region.last_row))
        return [Span(place.region, start, start + size) for start in starts]

    def scratch(self, layer: int) -> Span | None:
        """Where a layer's working memory lies; None if it needs none."""
        if not self.flow.kernels[layer].scratch_bytes:
            return None
        return whole_span(self.plan.scratch[self.flow.layers[layer].name])


def whole_span(place: Place) -> Span:
    """All bytes of a buffer."""
    return Span(place.region, place.offset, place.end)


def needed_region(flow: Dataflow, layer: int, source: Source, region: Region) -> Region:
    """What of `source.map` a layer reads to compute a part of its output: asked of the operators, part by part."""
    node = flow.layers[layer].node
    inputs = flow.model.graph.node_inputs(node)
    maps = [position for position, tensor in enumerate(inputs) if tensor.data is None]
    region = node.operator.input_region(region, inputs, maps[source.position])
    for view in source.views:
        region = view.node.operator.input_region(region, flow.model.graph.node_inputs(view.node), 0)
    return region

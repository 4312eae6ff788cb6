# SPDX-License-Identifier: Apache-2.0
"""What a stage would need: memory and instructions of every stage that a plan may be made of."""

from __future__ import annotations

__all__ = ["LAYER_BY_LAYER", "STREAM", "Candidate", "Candidates", "Shape"]

from functools import cached_property
from typing import NamedTuple

from mcukit.graph.region import Region
from mcukit.planning.branch_stage import branch_stage, tiles_can_differ
from mcukit.planning.costs import CostTable
from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.lifetimes import BufferNeed, buffers_of
from mcukit.planning.placement import Conflicts, live_bytes, place
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.schedule import stage_calls
from mcukit.planning.tiles import StageTiles, stage_tiles

_INSTRUCTIONS_PER_TURN = 30
"""What the loop around the layers takes for each row of a stage whose rows advance; measured on a Cortex-M4."""


class Shape(NamedTuple):
    """How a stage is cut, whatever its layers are."""

    tile_rows: int
    tile_columns: int
    halo: Halo

    @property
    def tiled(self) -> bool:
        return self.tile_rows > 1 or self.tile_columns > 1

    def stage(self, layers: tuple[str, ...]) -> Stage:
        return Stage(layers, self.tile_rows, self.tile_columns, self.halo)


LAYER_BY_LAYER = Shape(1, 1, Halo.RECOMPUTED)
STREAM = Shape(1, 1, Halo.KEPT)


class Candidate(NamedTuple):
    """The layers [first, last) as one stage."""

    first: int
    last: int
    shape: Shape


def _prescribed(flow: Dataflow) -> Candidate | None:
    stage = branch_stage(flow)
    if stage is None:
        return None
    return Candidate(0, len(stage.layers), Shape(stage.tile_rows, stage.tile_columns, stage.halo))


class Candidates:
    """Answers questions about stages and remembers the answers.

    pushed: whether the rows of the input are pushed. two_forms: whether tiles must be such that each can have a
    precision of its own.
    """

    def __init__(self, flow: Dataflow, costs: CostTable, pushed: bool, *, two_forms: bool = False) -> None:
        self.flow = flow
        self.pushed = pushed
        self._two_forms = two_forms
        self._names = tuple(layer.name for layer in flow.layers)
        self._costs = tuple(costs.for_layer(layer, flow.model.graph) for layer in flow.layers)
        branches = flow.model.branches
        self._narrow_costs = tuple(costs.for_layer(layer, branches.graph) for layer in flow.narrow) if branches else ()
        self.prescribed = _prescribed(flow)
        """The first stage of all plans, where the model says what it is."""
        self._whole = tuple(flow.whole(layer.output) for layer in flow.layers)
        self._tiles: dict[Candidate, StageTiles] = {}
        self._low: dict[Candidate, int] = {}
        self._placed: dict[Candidate, int] = {}
        self._bounds: dict[Candidate, int] = {}
        self._passing: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._instructions: dict[Candidate, int] = {}

    def stage(self, candidate: Candidate) -> Stage:
        return candidate.shape.stage(self._names[candidate.first : candidate.last])

    def is_possible(self, candidate: Candidate) -> bool:
        """Whether the grid fits the stage, and rows of the input are still there where they are read."""
        if self.pushed and (self.prescribed or not self._input_can_be_pushed):
            return False
        if self.pushed:
            streams = candidate.first == 0 and candidate.shape == STREAM
            if not streams and (candidate.first == 0 or self._last_reader_of_input >= candidate.first):
                return False
            if streams and self._last_reader_of_input >= candidate.last:
                return False
        height, width, _ = self.flow.shape(self.flow.layers[candidate.last - 1].output)
        if candidate.shape.tile_rows > height or candidate.shape.tile_columns > width:
            return False
        needs_two_forms = self._two_forms and candidate.shape.tiled
        return not needs_two_forms or tiles_can_differ(self.flow, self._stage_tiles(candidate))

    def is_worse_than_bound(self, candidate: Candidate, budget: int) -> bool:
        """Whether the stage can't fit the budget, as far as that is known without planning it."""
        return self._low.get(candidate, self.bound(candidate)) > budget

    def bound(self, candidate: Candidate) -> int:
        """Bytes that the stage needs at least: quick, and often far below what it really needs."""
        if candidate not in self._bounds:
            kept, begin, end = self._held(candidate)
            first, last = candidate.first, candidate.last
            rings = 0
            if candidate.shape == STREAM:
                rings = sum(self._rings[index] for index in range(first, last - 1) if self._last_readers[index] < last)
            self._bounds[candidate] = max(begin, end, kept + rings)
        return self._bounds[candidate]

    def _held(self, candidate: Candidate) -> tuple[int, int, int]:
        """Bytes of maps that pass the stage by, and of all that are there before it and after it."""
        first, last = candidate.first, candidate.last
        if (first, last) not in self._passing:
            before = [(reader, size) for producer, reader, size in self._spans if producer < first <= reader]
            kept = sum(size for reader, size in before if reader >= last)
            begin = 0 if self.pushed and first == 0 else sum(size for _, size in before)
            end = sum(size for producer, reader, size in self._spans if producer < last <= reader)
            self._passing[first, last] = kept, begin, end
        return self._passing[first, last]

    def tile_bound(self, candidate: Candidate) -> int:
        """The same for stages of column tiles, less quick and closer.

        The first tile needs its own maps beside all that it and its neighbours read, the last beside all that was
        written.
        """
        if candidate.shape.tile_columns == 1:
            return self.bound(candidate)
        first, last = candidate.first, candidate.last
        _, begin, end = self._held(candidate)
        tiles = self._stage_tiles(candidate)
        inner = [index for index in range(first, last) if self._last_readers[index] < last]
        own = [[self._tile_bytes(tiles, index, tile) for index in inner] for tile in (0, -1)]
        join = sum if candidate.shape.halo is Halo.KEPT else max
        return max(begin + (join(own[0]) if inner else 0), end + (join(own[1]) if inner else 0))

    def _tile_bytes(self, tiles: StageTiles, index: int, tile: int) -> int:
        """Least bytes of a layer's map in the first tile (0) or the last (-1)."""
        position = index - tiles.first
        columns = tiles.columns[tile][position]
        if tiles.stage.halo is Halo.KEPT:
            width = self._whole[index].last_column
            return self._rings[index] // width * (columns[1] - columns[0])
        rows = tiles.rows[tile][position]
        form = self.flow.form(self.flow.layers[index].output)
        return (rows[1] - rows[0]) * (columns[1] - columns[0]) * form.pixel_bytes

    def low(self, candidate: Candidate) -> int:
        """Bytes that are alive at once: no placement of the stage's buffers can go below."""
        if candidate not in self._low:
            self._low[candidate] = live_bytes(self._buffers(candidate))
        return self._low[candidate]

    def placed(self, candidate: Candidate) -> int:
        """Bytes that the stage takes when it is placed alone, with maps that pass it by."""
        if candidate not in self._placed:
            buffers = self._buffers(candidate)
            self._low[candidate] = live_bytes(buffers)
            self._placed[candidate] = place(Conflicts(buffers), orders=2)[1]
        return self._placed[candidate]

    def fits(self, candidate: Candidate, budget: int, *, surely: bool) -> bool:
        """Whether the stage fits alone; not surely: whether no bound says that it can't."""
        if self.tile_bound(candidate) > budget or self.low(candidate) > budget:
            return False
        return not surely or self.placed(candidate) <= budget

    def instructions(self, candidate: Candidate) -> int:
        """Estimated, with all that tiles compute again."""
        if candidate not in self._instructions:
            self._instructions[candidate] = self._estimate(candidate)
        return self._instructions[candidate]

    def _estimate(self, candidate: Candidate) -> int:
        indices = range(candidate.first, candidate.last)
        if not candidate.shape.tiled:
            kept = candidate.shape.halo is Halo.KEPT
            whole = ((index, self._whole[index]) for index in indices)
            return sum(self._piece(index, region, by_row=kept) for index, region in whole)
        tiles = self._stage_tiles(candidate)
        by_row = candidate.shape.halo is Halo.KEPT
        narrow = self._narrow_tiles(candidate)
        return sum(
            self._piece(index, region, by_row=by_row, narrow=tile in narrow)
            for tile, regions in tiles.regions.items()
            for index, region in zip(indices, regions, strict=True)
        )

    def _narrow_tiles(self, candidate: Candidate) -> frozenset[tuple[int, int]]:
        """Tiles that surely take their narrow form: where values decide, all may be wide."""
        branches = self.flow.model.branches
        if branches is None or branches.test is not None or candidate != self.prescribed:
            return frozenset()
        return frozenset(self._stage_tiles(candidate).regions) - branches.wide

    def _piece(self, index: int, region: Region, *, by_row: bool, narrow: bool = False) -> int:
        if not region.pixels:
            return 0
        calls = region.rows if by_row else 1
        costs = self._narrow_costs if narrow else self._costs
        return costs[index].instructions(region, calls) + by_row * calls * _INSTRUCTIONS_PER_TURN

    def _buffers(self, candidate: Candidate) -> tuple[BufferNeed, ...]:
        tiles = self._stage_tiles(candidate)
        pushed = self.pushed and candidate.first == 0
        return buffers_of(self.flow, [tiles], list(stage_calls(self.flow, tiles, 0, pushed)), pushed)[0]

    def _stage_tiles(self, candidate: Candidate) -> StageTiles:
        if candidate not in self._tiles:
            stage = self.stage(candidate)
            self._tiles[candidate] = stage_tiles(self.flow, candidate.first, candidate.last, stage)
        return self._tiles[candidate]

    @cached_property
    def _last_reader_of_input(self) -> int:
        return max(self.flow.readers[self.flow.model.input.name], default=INPUT)

    @cached_property
    def _input_can_be_pushed(self) -> bool:
        """An input that is reshaped or handed out must be held whole."""
        return self.flow.model.input.name not in self.flow.viewed | self.flow.outputs

    @cached_property
    def _last_readers(self) -> tuple[int, ...]:
        """For each layer the last one that reads its output; one beyond all where an output of the network is kept."""
        return tuple(self._last_reader(layer.output) for layer in self.flow.layers)

    def _last_reader(self, name: str) -> int:
        if name in self.flow.outputs:
            return len(self.flow.layers)
        return max(self.flow.readers[name], default=self.flow.producer[name])

    @cached_property
    def _spans(self) -> tuple[tuple[int, int, int], ...]:
        """Producer, last reader and bytes of every map that no layer writes over while others keep it."""
        return tuple(self._span(name) for name in self.flow.producer)

    def _span(self, name: str) -> tuple[int, int, int]:
        form = self.flow.form(name)
        return self.flow.producer[name], self._last_reader(name), form.height * form.row_bytes

    @cached_property
    def _rings(self) -> tuple[int, ...]:
        """For each layer the least bytes of its map as a ring; none where a reader may write over it."""
        return tuple(self._ring(index) for index in range(len(self.flow.layers)))

    def _ring(self, index: int) -> int:
        name = self.flow.layers[index].output
        rows = 0
        for reader in self.flow.readers[name]:
            for source in self.flow.sources[reader]:
                if source.map == name:
                    if source.position in self.flow.kernels[reader].in_place:
                        return 0
                    rows = max(rows, *(last - first for first, last in source.rows))
        return rows * self.flow.form(name).row_bytes

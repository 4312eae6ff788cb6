# SPDX-License-Identifier: Apache-2.0
"""Proves that a plan can be executed: every buffer has its place, and nothing is overwritten that is still read.

The proof runs the plan over an array that says of every byte which row of which map lies there. It knows nothing of
how plans are made: neither lifetimes nor placement have a part in it.
"""

from __future__ import annotations

__all__ = ["check_places", "check_plan"]

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcukit.errors import McukitError, Problem
from mcukit.graph.region import Region
from mcukit.planning.dataflow import INPUT, Dataflow, Source
from mcukit.planning.layout import Layout, Span, needed_region
from mcukit.planning.placement import ALIGNMENT
from mcukit.planning.plan import Place, Plan
from mcukit.planning.schedule import Call, partition, schedule
from mcukit.planning.tiles import StageTiles

MOST_CONFLICTS = 10
"""How many conflicts are described; the others are counted."""

_REPLACE = "move one of them, or leave out maps, scratch and arenas: then everything is placed anew"

Tile = tuple[int, int]

_ANY_TILE = (0, 0)
"""Of maps that are held whole, which are the same in every tile."""


def check_plan(flow: Dataflow, plan: Plan) -> None:
    """Returns if every executor that follows the plan computes the network's bytes.

    Raises McukitError "bad-stage" with all that is wrong with the stages, else "bad-plan" with all places that can't
    be right, else "bad-plan" with the rows that overwrite each other.
    """
    stages = partition(flow, plan.stages, plan.pushed)
    check_places(flow, stages, plan)
    conflicts = _Simulation(Layout(flow, stages, plan)).run()
    if conflicts:
        raise McukitError.collect(conflicts)


def check_places(flow: Dataflow, stages: Sequence[StageTiles], plan: Plan) -> None:
    """Raises McukitError "bad-plan" unless each map and scratch has a place of the right size inside an exact arena.

    stages: what `partition` gives for the plan's stages.
    """
    layout = Layout(flow, stages, plan)
    problems = [
        *_map_problems(layout),
        *_scratch_problems(layout),
        *_arena_problems(plan),
        *(
            Problem("bad-plan", "the network has no such layer", f"weights of '{name}'", "take it out")
            for name in plan.weights
            if name not in {layer.name for layer in flow.layers}
        ),
    ]
    if problems:
        raise McukitError.collect(problems)


def _map_problems(layout: Layout) -> Iterator[Problem]:
    flow, maps = layout.flow, layout.plan.maps
    expected = [tensor.name for tensor in flow.model.graph.maps()]
    yield from _differences("map", expected, list(maps))
    for name in expected:
        if name not in maps or flow.owner(name) not in maps:
            continue
        problem = _view_problem(layout, name) if name in flow.views else _map_problem(layout, name)
        if problem:
            yield Problem(
                "bad-plan", problem, f"map '{name}'", "leave out maps, scratch and arenas to have them placed anew"
            )


def _map_problem(layout: Layout, name: str) -> str:
    """What is wrong with the size of a map's buffer; nothing if it is right."""
    place = layout.plan.maps[name]
    height, width, channels = layout.flow.shape(name)
    form = layout.flow.form(name)
    least = layout.least_columns(name)
    if name in layout.whole and (place.rows, place.columns) != (height, width):
        return f"{place.rows} rows and {place.columns} columns are held, but all {height} x {width} are needed"
    if not 1 <= place.rows <= height:
        return f"{place.rows} rows are held of {height}"
    if not least <= place.columns <= width:
        return f"{place.columns} columns are held, but tiles have up to {least} of the map's {width}"
    if place.bytes != place.rows * place.columns * form.pixel_bytes:
        packed = f" in {form.bits} bits" if form.bits != 8 else ""
        return (
            f"{place.bytes} bytes are not {place.rows} rows of {place.columns} columns of {channels} channels{packed}"
        )
    return ""


def _view_problem(layout: Layout, name: str) -> str:
    """What is wrong with the place of a view; nothing if it lies where its map lies."""
    owner = layout.flow.owner(name)
    place, source = layout.plan.maps[name], layout.plan.maps[owner]
    height, width, _ = layout.flow.shape(name)
    if place != Place(source.region, source.offset, source.bytes, height, width):
        return (
            f"it is '{owner}' in another shape, and so lies at {source.offset} in {source.region}, with {source.bytes} "
            f"bytes, {height} rows and {width} columns"
        )
    return ""


def _scratch_problems(layout: Layout) -> Iterator[Problem]:
    flow, plan = layout.flow, layout.plan
    needed = {
        flow.layers[index].name: flow.kernels[index].scratch_bytes
        for tiles in layout.stages
        for index in range(tiles.first, tiles.last)
        if flow.kernels[index].scratch_bytes
        # A layer that feeds padding alone is never called.
        and any(regions[index - tiles.first].pixels for regions in tiles.regions.values())
    }
    yield from _differences("scratch of", list(needed), list(plan.scratch))
    for name, size in needed.items():
        if name in plan.scratch and plan.scratch[name].bytes != size:
            message = f"{plan.scratch[name].bytes} bytes are given, the layer needs {size}"
            yield Problem("bad-plan", message, f"scratch of '{name}'", f"give it {size} bytes")


def _differences(what: str, expected: Sequence[str], found: Sequence[str]) -> Iterator[Problem]:
    for name in sorted(set(expected) - set(found)):
        yield Problem("bad-plan", "it has no place", f"{what} '{name}'", "place all maps and scratch, or none of them")
    for name in sorted(set(found) - set(expected)):
        yield Problem("bad-plan", "the network needs no such memory", f"{what} '{name}'", "take it out")


def _arena_problems(plan: Plan) -> Iterator[Problem]:
    ends = dict.fromkeys(plan.arenas, 0)
    places = [(f"map '{name}'", place) for name, place in plan.maps.items()]
    places += [(f"scratch of '{name}'", place) for name, place in plan.scratch.items()]
    for name, place in places:
        if place.region not in ends:
            yield Problem(
                "bad-plan", f"there is no arena in '{place.region}'", name, "add the arena, or correct the region"
            )
            continue
        if place.offset < 0 or place.offset % ALIGNMENT:
            message = f"offset {place.offset} is not a multiple of {ALIGNMENT}"
            yield Problem("bad-plan", message, name, "kernels load words: begin every buffer at one")
        ends[place.region] = max(ends[place.region], place.end)
    for region, end in ends.items():
        exact = -(-end // ALIGNMENT) * ALIGNMENT
        if plan.arenas[region] != exact:
            message = f"it has {plan.arenas[region]} bytes, but what lies in it ends at {exact}"
            yield Problem(
                "bad-plan", message, f"arena '{region}'", f"make it {exact} bytes, or take it out if that is 0"
            )


@dataclass(frozen=True)
class _Row:
    """A row of a buffer, as messages call it. buffer: "map 'x'" or "scratch of 'y'"; row: -1 for scratch."""

    buffer: str
    row: int

    def __str__(self) -> str:
        return f"row {self.row} of {self.buffer}" if self.row >= 0 else self.buffer


_NOTHING = _Row("nothing", -1)


class _Simulation:
    """Runs a plan; every byte says which row lies there."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.flow = layout.flow
        # Zeros are not given memory before they are written: a gap in an arena costs nothing.
        self._owners = {region: np.zeros(size, np.int32) for region, size in layout.plan.arenas.items()}
        self._rows = [_NOTHING]
        self._numbers: dict[tuple[_Row, Tile], int] = {}
        self._conflicts: dict[tuple[str, str], Problem] = {}
        self._repeated: Counter[tuple[str, str]] = Counter()

    def run(self) -> list[Problem]:
        """Which buffers destroy which, with the first rows of each pair."""
        source = self.flow.model.input.name
        if source in self.layout.whole:
            self._write(source, _ANY_TILE, self.flow.whole(source))
        for call in schedule(self.flow, self.layout.stages, self.layout.plan.pushed):
            if call.layer == INPUT:
                whole = self.flow.whole(source)
                self._write(source, call.tile, replace(whole, first_row=call.first_row, last_row=call.last_row))
            else:
                self._run(call)
        for name in sorted(self.flow.outputs):
            self._expect(name, _ANY_TILE, self.flow.whole(name), "the application reads the output")
        problems = [self._problem(pair) for pair in list(self._conflicts)[:MOST_CONFLICTS]]
        more = len(self._conflicts) - len(problems)
        if more:
            problems.append(Problem("bad-plan", f"{more} more pairs of buffers are in each other's way", hint=_REPLACE))
        return problems

    def _run(self, call: Call) -> None:
        tiles = self.layout.stages[call.stage]
        computed = tiles.regions[call.tile][call.layer - tiles.first]
        scratch = self.layout.scratch(call.layer)
        output = self.flow.layers[call.layer].output
        if scratch is not None:
            self._claim(scratch, _Row(f"scratch of '{self.flow.layers[call.layer].name}'", -1), _ANY_TILE)
        together = self.flow.kernels[call.layer].rows_together
        for first in range(call.first_row, call.last_row, together):
            rows = replace(computed, first_row=first, last_row=min(first + together, call.last_row))
            spans = self.layout.spans(output, call.tile, rows)
            for row, written in enumerate(spans, first):
                region = replace(computed, first_row=row, last_row=row + 1)
                for source in self.flow.sources[call.layer]:
                    self._read(call, source, region, spans)
                if scratch is not None and scratch.shared(written):
                    message = f"row {row} of {_map(output)} and its scratch share {scratch.shared(written)} bytes"
                    self._report(written, (_map(output), "scratch"), message)
            self._write(output, call.tile, rows)

    def _read(self, call: Call, source: Source, region: Region, written: Sequence[Span]) -> None:
        """One operand of the row `region`, computed with those that are to lie at `written`, while they are written."""
        output = _map(self.flow.layers[call.layer].output)
        needed = needed_region(self.flow, call.layer, source, region)
        self._expect(source.map, call.tile, needed, f"row {region.first_row} of {output} is computed")
        spans = self.layout.spans(source.map, call.tile, needed)
        in_place = spans == written and source.position in self.flow.kernels[call.layer].in_place
        shared = sum(span.shared(own) for span in spans for own in written)
        if shared and not in_place:
            others = " or a row that is computed with it" if len(written) > 1 else ""
            message = f"row {region.first_row} of {output}{others} would overwrite {shared} bytes of the rows"
            self._report(written[0], (_map(source.map), output), f"{message} of {_map(source.map)} that it needs")

    def _write(self, name: str, tile: Tile, region: Region) -> None:
        for row, span in enumerate(self.layout.spans(name, tile, region), region.first_row):
            self._claim(span, _Row(_map(name), row), self._instance(name, tile))

    def _claim(self, span: Span, row: _Row, tile: Tile) -> None:
        self._owners[span.region][span.start : span.end] = self._number(row, tile)

    def _expect(self, name: str, tile: Tile, region: Region, reader: str) -> None:
        """Notes a conflict where the region's bytes are not those of the map's rows."""
        for index, span in enumerate(self.layout.spans(name, tile, region), region.first_row):
            row = _Row(_map(name), index)
            found = self._owners[span.region][span.start : span.end]
            wrong = found[found != self._number(row, self._instance(name, tile))]
            if not len(wrong):
                continue
            taker, count = self._rows[wrong[0]], int(np.sum(wrong == wrong[0]))
            if taker is _NOTHING:
                self._report(span, (row.buffer, ""), f"{row} is not there yet when {reader}")
            elif taker.buffer == row.buffer:
                held = self.layout.plan.maps[name].rows
                message = f"{row} has made way for row {taker.row} when {reader}: {held} rows are too few"
                self._report(span, (row.buffer, taker.buffer), message, "hold more rows")
            else:
                message = f"{row} and {taker} are both alive when {reader}, and share {count} bytes"
                self._report(span, (row.buffer, taker.buffer), message)

    def _instance(self, name: str, tile: Tile) -> Tile:
        """Rows of a partial map are other ones in every tile."""
        return _ANY_TILE if name in self.layout.whole else tile

    def _number(self, row: _Row, tile: Tile) -> int:
        if (row, tile) not in self._numbers:
            self._numbers[row, tile] = len(self._rows)
            self._rows.append(row)
        return self._numbers[row, tile]

    def _report(self, span: Span, pair: tuple[str, str], message: str, hint: str = _REPLACE) -> None:
        self._conflicts.setdefault(pair, Problem("bad-plan", message, f"arena '{span.region}'", hint))
        self._repeated[pair] += 1

    def _problem(self, pair: tuple[str, str]) -> Problem:
        first, more = self._conflicts[pair], self._repeated[pair] - 1
        return replace(first, message=f"{first.message} ({more} more like this)") if more else first


def _map(name: str) -> str:
    return f"map '{name}'"

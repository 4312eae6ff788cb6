# SPDX-License-Identifier: Apache-2.0
"""When each row of each map is alive: from the tick that computes it to the last tick that reads it.

A tick is the computation of one row of one layer. Kernels work through their rows in ascending order and read nothing
of an input row after its last reader, so that a later row may take its place, even within one call. Where a kernel
computes several rows at once, the first of their ticks writes all of them and the last one still reads for all.
"""

from __future__ import annotations

__all__ = ["BufferNeed", "Cells", "buffers_of"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.graph.region import Region
from mcukit.planning.dataflow import INPUT, Dataflow, Source
from mcukit.planning.schedule import Call
from mcukit.planning.tiles import StageTiles

Ticks = npt.NDArray[np.int64]

_BEFORE = -1
"""When a whole input is written: before the first tick."""

_UNBORN = -2


@dataclass(frozen=True, eq=False)
class Cells:
    """Bytes [start, end) of a buffer in use from tick `born` to tick `dies`, both included: arrays of one length."""

    start: Ticks
    end: Ticks
    born: Ticks
    dies: Ticks


@dataclass(frozen=True, eq=False)
class BufferNeed:
    """Memory that must lie in one piece.

    names: the maps in it, or the one layer whose scratch it is. rows, columns: of a map, held at a time.
    accesses: how often each of its bytes is written or read in one inference, on average.
    """

    names: tuple[str, ...]
    scratch: bool
    bytes: int
    rows: int
    columns: int
    cells: Cells
    accesses: float


@dataclass(eq=False)
class _Rows:
    """A map's rows: for every tile that holds it (one for maps that are held whole) when each row is born and dies.

    regions: what each tile holds; none for maps that are held whole. born: negative where a row is never computed.
    """

    name: str
    whole: bool
    regions: tuple[Region, ...]
    columns: int
    row_bytes: int
    first_row: list[int]
    born: list[Ticks]
    dies: list[Ticks]
    read_rows: int = 0


def buffers_of(
    flow: Dataflow, stages: Sequence[StageTiles], calls: Sequence[Call], pushed: bool
) -> tuple[tuple[BufferNeed, ...], int]:
    """Every buffer that these calls need, and the number of ticks.

    `stages` are all of a plan's, or some that follow each other: maps from before them are there at the first tick, and
    maps that later stages read stay to the last.
    """
    recorder = _Recorder(flow, stages, pushed)
    recorder.run(calls)
    groups = _share(flow, recorder)
    maps = [_map_buffer(group) for group in groups]
    return (*maps, *recorder.scratch_buffers()), recorder.tick


class _Recorder:
    """Walks through the calls and notes births and last readings."""

    def __init__(self, flow: Dataflow, stages: Sequence[StageTiles], pushed: bool) -> None:
        self.flow = flow
        self.stages = stages
        self.pushed = pushed
        self.tick = 0
        self.maps: dict[str, _Rows] = {}
        self.scratch: dict[int, list[Ticks]] = {}
        first, last = (stages[0].first, stages[-1].last) if stages else (0, 0)
        self.kept = [
            name
            for name, producer in flow.producer.items()
            if producer < last and (name in flow.outputs or any(reader >= last for reader in flow.readers[name]))
        ]
        """Maps that stay to the end."""
        for name, producer in flow.producer.items():
            if producer < first and (name in self.kept or any(reader >= first for reader in flow.readers[name])):
                self._add_given(name)
        for tiles in stages:
            for index in range(tiles.first, tiles.last):
                self._add_map(tiles, index)

    def _add_given(self, name: str) -> None:
        """A map that is there before the first tick, or arrives row by row."""
        form = self.flow.form(name)
        height, width = form.height, form.width
        pushed = self.pushed and name == self.flow.model.input.name
        born = np.full(height, _UNBORN if pushed else _BEFORE, np.int64)
        regions = (self.flow.whole(name),) if pushed else ()
        self.maps[name] = _Rows(name, not pushed, regions, width, form.row_bytes, [0], [born], [born.copy()])

    def _add_map(self, tiles: StageTiles, index: int) -> None:
        name = self.flow.layers[index].output
        form = self.flow.form(name)
        height, width = form.height, form.width
        whole = name in tiles.outgoing or name in self.flow.viewed or tiles.stage.schedule == "layers"
        regions = tuple(regions[index - tiles.first] for regions in tiles.regions.values())
        columns = width if whole else max((region.columns for region in regions), default=width) or width
        spans = [(0, height)] if whole else [(region.first_row, region.first_row + region.rows) for region in regions]
        unborn = [np.full(last - first, _UNBORN, np.int64) for first, last in spans]
        first_rows = [first for first, _ in spans]
        held = () if whole else regions
        self.maps[name] = _Rows(
            name, whole, held, columns, columns * form.pixel_bytes, first_rows, unborn, [rows.copy() for rows in unborn]
        )

    def run(self, calls: Sequence[Call]) -> None:
        for (stage, tile, layer), ticks in self._ticks(calls).items():
            number = list(self.stages[stage].regions).index(tile)
            first, each = ticks[0][0], np.concatenate([np.arange(begin, end) for _, begin, end in ticks])
            if layer == INPUT:
                self._write(self.maps[self.flow.model.input.name], 0, 0, each, each)
                continue
            together = self.flow.kernels[layer].rows_together
            starts = [_group_starts(begin, end, together) for _, begin, end in ticks]
            stops = [np.minimum(start + together, end) - 1 for start, (_, _, end) in zip(starts, ticks, strict=True)]
            born, done = np.concatenate(starts), np.concatenate(stops)
            self._write(self.maps[self.flow.layers[layer].output], number, first, born, done)
            for source in self.flow.sources[layer]:
                self._read(self.maps[source.map], number, source, first, done)
            if self.flow.kernels[layer].scratch_bytes:
                self.scratch.setdefault(layer, []).append(each)
        for name in self.kept:
            for dies in self.maps[name].dies:
                dies[:] = self.tick
        for rows in self.maps.values():
            for born, dies in zip(rows.born, rows.dies, strict=True):
                np.maximum(dies, born, out=dies)

    def _ticks(self, calls: Sequence[Call]) -> dict[tuple[int, tuple[int, int], int], list[tuple[int, int, int]]]:
        """By stage, tile and layer: first row, first tick and tick after the last one of every call."""
        ticks: dict[tuple[int, tuple[int, int], int], list[tuple[int, int, int]]] = {}
        tick = 0
        for call in calls:
            end = tick + call.last_row - call.first_row
            ticks.setdefault((call.stage, call.tile, call.layer), []).append((call.first_row, tick, end))
            tick = end
        self.tick = tick
        return ticks

    def _write(self, rows: _Rows, number: int, first: int, ticks: Ticks, done: Ticks) -> None:
        """Rows from `first` on are computed from these ticks on, and complete after those of `done`."""
        instance = 0 if rows.whole else self._instance(rows, number)
        begin = first - rows.first_row[instance]
        born, dies = rows.born[instance][begin : begin + len(ticks)], rows.dies[instance][begin : begin + len(ticks)]
        # A row of a whole map is written by several tiles: it lives from the first on.
        np.copyto(born, ticks, where=(born < 0) | (born > ticks))
        np.maximum(dies, done, out=dies)

    def _read(self, rows: _Rows, number: int, source: Source, first: int, ticks: Ticks) -> None:
        """A layer reads what its rows from `first` on need, up to these ticks."""
        instance = 0 if rows.whole else self._instance(rows, number)
        dies = rows.dies[instance]
        needed = source.needs[first : first + len(ticks)]
        position = np.arange(len(dies)) + rows.first_row[instance]
        # What rows need never goes back, so that the last one that begins at a row or before is the last to read it.
        reader = np.searchsorted(needed[:, 0], position, side="right") - 1
        is_read = (reader >= 0) & (position < needed[reader, 1])
        np.maximum(dies, ticks[reader], out=dies, where=is_read)
        rows.read_rows += int((needed[:, 1] - needed[:, 0]).sum())

    def _instance(self, rows: _Rows, number: int) -> int:
        return number if len(rows.born) > 1 else 0

    def scratch_buffers(self) -> tuple[BufferNeed, ...]:
        return tuple(
            self._scratch_buffer(layer, np.sort(np.concatenate(ticks))) for layer, ticks in sorted(self.scratch.items())
        )

    def _scratch_buffer(self, layer: int, ticks: Ticks) -> BufferNeed:
        size = self.flow.kernels[layer].scratch_bytes
        # Ticks that follow each other are one life.
        begins = np.flatnonzero(np.diff(ticks, prepend=-9) != 1)
        ends = np.append(begins[1:], len(ticks)) - 1
        count = len(begins)
        cells = Cells(np.zeros(count, np.int64), np.full(count, size, np.int64), ticks[begins], ticks[ends])
        return BufferNeed((self.flow.layers[layer].name,), True, size, 0, 0, cells, float(len(ticks)))


def _group_starts(begin: int, end: int, together: int) -> Ticks:
    """For each tick of a call the first one of the rows that are computed together."""
    ticks = np.arange(begin, end)
    return ticks - (ticks - begin) % together


@dataclass(eq=False)
class _Group:
    """Maps in the same memory; `rows` is what they are together."""

    names: list[str]
    rows: _Rows


def _share(flow: Dataflow, recorder: _Recorder) -> list[_Group]:
    """Lets layers write over an input that no one reads any more, where their kernels can."""
    groups: dict[str, _Group] = {}
    first = recorder.stages[0].first if recorder.stages else 0
    for output, rows in recorder.maps.items():
        index = flow.producer[output]
        group = _overwritten(flow, index, rows, groups) if index >= first else None
        if group is None:
            group = _Group([output], rows)
        else:
            group.names.append(output)
            group.rows = _joined(group.rows, rows)
        groups[output] = group
    return list({id(group): group for group in groups.values()}.values())


def _overwritten(flow: Dataflow, index: int, rows: _Rows, groups: Mapping[str, _Group]) -> _Group | None:
    """The group of an input in whose memory the layer may write."""
    for position in flow.kernels[index].in_place:
        source = flow.sources[index][position]
        group = groups[source.map]
        earlier = group.rows
        same_shape = (
            not source.views
            and earlier.whole == rows.whole
            and earlier.row_bytes == rows.row_bytes
            and earlier.regions == rows.regions
            and len(earlier.born[0]) == len(rows.born[0])
        )
        if same_shape and all((dies <= born).all() for dies, born in zip(earlier.dies, rows.born, strict=True)):
            return group
    return None


def _joined(earlier: _Rows, later: _Rows) -> _Rows:
    return _Rows(
        earlier.name,
        earlier.whole,
        earlier.regions,
        earlier.columns,
        earlier.row_bytes,
        earlier.first_row,
        earlier.born,
        later.dies,
        earlier.read_rows + later.read_rows + len(later.born[0]),
    )


def _map_buffer(group: _Group) -> BufferNeed:
    rows = group.rows
    height = max(len(born) for born in rows.born)
    used = [(born, dies) for born, dies in zip(rows.born, rows.dies, strict=True) if (born > _UNBORN).any()]
    ring = height if rows.whole else max((_ring(born, dies) for born, dies in used), default=1)
    held = [
        _held(first, born, dies, ring, rows.row_bytes, rows.whole)
        for first, born, dies in zip(rows.first_row, rows.born, rows.dies, strict=True)
    ]
    start, born, dies = (np.concatenate(parts) for parts in zip(*held, strict=True))
    accesses = (rows.read_rows + sum(len(b) for b in rows.born)) / max(ring, 1)
    cells = Cells(start, start + rows.row_bytes, born, dies)
    return BufferNeed(tuple(group.names), False, ring * rows.row_bytes, ring, rows.columns, cells, accesses)


def _ring(born: Ticks, dies: Ticks) -> int:
    """Rows that must be held so that no row takes the place of another that is still read."""
    if not len(born):
        return 1
    # Births ascend: the youngest row that is born before a row's last reading.
    youngest = np.searchsorted(born, dies, side="right")
    return int((youngest - np.arange(len(born))).max())


def _held(first: int, born: Ticks, dies: Ticks, ring: int, row_bytes: int, whole: bool) -> tuple[Ticks, Ticks, Ticks]:
    """Where the rows of one tile lie, and when they are born and die; rows that are never computed left out."""
    start = np.arange(first, first + len(born)) % ring * row_bytes
    alive = born > _UNBORN
    start, born, dies = start[alive], born[alive], dies[alive]
    # While a tile runs, a slot of its ring is empty for moments only.
    return (start, born, dies) if whole or not len(start) else _by_slot(start, born, dies)


def _by_slot(start: Ticks, born: Ticks, dies: Ticks) -> tuple[Ticks, Ticks, Ticks]:
    """One cell for every slot."""
    slots = np.unique(start)
    first = np.array([born[start == slot].min() for slot in slots], np.int64)
    last = np.array([dies[start == slot].max() for slot in slots], np.int64)
    return slots, first, last

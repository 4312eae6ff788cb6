# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes of each memory region, and when."""

from __future__ import annotations

__all__ = ["Holding", "Kind", "MemoryTimeline", "Phase", "memory_timelines", "phases"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.lifetimes import BufferNeed, Cells, buffers_of
from mcukit.planning.plan import Place, Plan
from mcukit.planning.schedule import Call
from mcukit.planning.tiles import StageTiles

Kind = Literal["input", "map", "ring", "output", "scratch"]
"""What a buffer is for. ring: holds a part of its map at a time. scratch: working memory of a layer."""

BEFORE = -1
"""The tick at which what is there from the start begins: the first row is computed at tick 0."""


@dataclass(frozen=True)
class Phase:
    """Ticks [first, last) of one layer that runs alone, or of a stage whose layers take turns.

    stage: its position in the plan. layers: positions in Dataflow.layers. tiles: ticks at which tiles begin.
    """

    stage: int
    layers: tuple[int, ...]
    first: int
    last: int
    tiles: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Holding:
    """A buffer with its lifetime.

    names: the maps that lie in it one after the other, or the layer whose scratch it is.
    region, offset, bytes: where it lies.
    rows, columns: of the map, held at a time, of `height` x `width` in all. All four are 0 for scratch.
    cells: bytes [start, end) of the region's arena, in use from tick `born` to tick `dies`, both included.
    """

    names: tuple[str, ...]
    kind: Kind
    region: str
    offset: int
    bytes: int
    rows: int
    columns: int
    height: int
    width: int
    cells: Cells


@dataclass(frozen=True, eq=False)
class MemoryTimeline:
    """One memory region over one inference.

    arena_bytes: its arena. alive_bytes: the most that are in use at one tick, which is `busiest`; no arena could be
    smaller. busiest_layer: position in Dataflow.layers of what is computed then, INPUT before anything is.
    """

    region: str
    arena_bytes: int
    alive_bytes: int
    busiest: int
    busiest_layer: int
    holdings: tuple[Holding, ...]


def phases(stages: Sequence[StageTiles], calls: Sequence[Call]) -> tuple[Phase, ...]:
    """The time axis of a plan: its calls, joined where they belong together."""
    result: list[Phase] = []
    key, last_tile, tick = (-1, -1), (-1, -1), 0
    for call in calls:
        alone = stages[call.stage].stage.schedule == "layers"
        new_key = (call.stage, call.layer if alone else -1)
        rows = call.last_row - call.first_row
        if new_key != key:
            first, last = stages[call.stage].first, stages[call.stage].last
            layers = (call.layer,) if alone else tuple(range(first, last))
            result.append(Phase(call.stage, layers, tick, tick, ()))
            key, last_tile = new_key, (-1, -1)
        phase = result[-1]
        begins = (tick,) if call.tile != last_tile else ()
        result[-1] = Phase(phase.stage, phase.layers, phase.first, tick + rows, phase.tiles + begins)
        last_tile, tick = call.tile, tick + rows
    return tuple(result)


def memory_timelines(
    flow: Dataflow, plan: Plan, stages: Sequence[StageTiles], calls: Sequence[Call]
) -> tuple[MemoryTimeline, ...]:
    """A timeline for each memory region of the plan, in its order. stages, calls: the plan's."""
    needs, ticks = buffers_of(flow, stages, calls, plan.pushed)
    holdings = [holding for need in needs for holding in _holdings(flow, plan, need)]
    layer_at = np.repeat([call.layer for call in calls], [call.last_row - call.first_row for call in calls])
    return tuple(
        _timeline(region, size, [holding for holding in holdings if holding.region == region], layer_at, ticks)
        for region, size in plan.arenas.items()
    )


def _holdings(flow: Dataflow, plan: Plan, need: BufferNeed) -> Iterator[Holding]:
    """A buffer where the plan has put it; several if the plan gives maps memory of their own that could share."""
    placed: dict[Place, list[str]] = {}
    places: Mapping[str, Place] = plan.scratch if need.scratch else plan.maps
    for name in need.names:
        placed.setdefault(places[name], []).append(name)
    for place, names in placed.items():
        height, width = (0, 0) if need.scratch else flow.shape(names[0])[:2]
        yield Holding(
            names=tuple(names),
            kind=_kind(flow, need, names, place, (height, width)),
            region=place.region,
            offset=place.offset,
            bytes=place.bytes,
            rows=place.rows,
            columns=place.columns,
            height=height,
            width=width,
            cells=_placed(need, place),
        )


def _kind(flow: Dataflow, need: BufferNeed, names: Sequence[str], place: Place, shape: tuple[int, int]) -> Kind:
    if need.scratch:
        return "scratch"
    if flow.model.input.name in names:
        return "input"
    if flow.outputs.intersection(names):
        return "output"
    return "map" if (place.rows, place.columns) == shape else "ring"


def _placed(need: BufferNeed, place: Place) -> Cells:
    """The cells as addresses. A plan may hold more rows than it must: then the whole buffer is in use throughout."""
    cells = need.cells
    if place.bytes != need.bytes:
        ends = np.array([place.offset]), np.array([place.offset + place.bytes])
        return Cells(*ends, cells.born.min(keepdims=True), cells.dies.max(keepdims=True))
    return Cells(cells.start + place.offset, cells.end + place.offset, cells.born, cells.dies)


def _timeline(
    region: str, arena_bytes: int, holdings: Sequence[Holding], layer_at: npt.NDArray[np.int64], ticks: int
) -> MemoryTimeline:
    change = np.zeros(ticks + 3, np.int64)
    for holding in holdings:
        cells = holding.cells
        sizes = cells.end - cells.start
        np.add.at(change, np.maximum(cells.born, BEFORE) - BEFORE, sizes)
        np.add.at(change, np.minimum(cells.dies, ticks) - BEFORE + 1, -sizes)
    alive = change.cumsum()
    busiest = int(alive.argmax()) + BEFORE
    layer = int(layer_at[busiest]) if 0 <= busiest < len(layer_at) else INPUT
    return MemoryTimeline(region, arena_bytes, int(alive.max()), busiest, layer, tuple(holdings))

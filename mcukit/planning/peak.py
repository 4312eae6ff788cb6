# SPDX-License-Identifier: Apache-2.0
"""Where a plan needs most memory."""

from __future__ import annotations

__all__ = ["Peak", "find_peak"]

from dataclasses import dataclass

import numpy as np

from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.lifetimes import BufferNeed, buffers_of
from mcukit.planning.plan import Plan
from mcukit.planning.schedule import Call, partition, schedule


@dataclass(frozen=True)
class Peak:
    """The moment at which most bytes are in use.

    layer: position in Dataflow.layers of what is computed then; None where the input is written.
    bytes: in use. live: the buffers with their bytes in use, largest first, by the name of the first map in them.
    """

    layer: int | None
    bytes: int
    live: tuple[tuple[str, int], ...]


def find_peak(flow: Dataflow, plan: Plan) -> Peak:
    """The moment at which most bytes of a plan's buffers are in use."""
    tiles = partition(flow, plan.stages, plan.pushed)
    calls = schedule(flow, tiles, plan.pushed)
    buffers, ticks = buffers_of(flow, tiles, calls, plan.pushed)
    # The tick before the first is when a whole input is written, the one after the last when outputs are read.
    used = sum((_used(buffer, ticks) for buffer in buffers), np.zeros(ticks + 2, np.int64))
    moment = int(used.argmax()) - 1
    live = sorted(((_live(buffer, moment), buffer.names[0]) for buffer in buffers), reverse=True)
    return Peak(_layer_at(calls, moment), int(used.max()), tuple((name, size) for size, name in live if size))


def _used(buffer: BufferNeed, ticks: int) -> np.ndarray:
    cells = buffer.cells
    change = np.zeros(ticks + 3, np.int64)
    np.add.at(change, cells.born + 1, cells.end - cells.start)
    np.add.at(change, cells.dies + 2, cells.start - cells.end)
    return change.cumsum()[:-1]


def _live(buffer: BufferNeed, moment: int) -> int:
    cells = buffer.cells
    alive = (cells.born <= moment) & (moment <= cells.dies)
    return int((cells.end - cells.start)[alive].sum())


def _layer_at(calls: tuple[Call, ...], moment: int) -> int | None:
    """What is computed at a tick; before the first one nothing is, after the last one its layer is done."""
    tick = 0
    layer = None
    for call in calls:
        if tick > moment:
            break
        layer = None if call.layer == INPUT else call.layer
        tick += call.last_row - call.first_row
    return layer

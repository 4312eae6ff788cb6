# SPDX-License-Identifier: Apache-2.0
"""From stages to a Plan: every buffer gets its place."""

from __future__ import annotations

__all__ = ["plan_layers", "plan_of"]

from collections.abc import Mapping, Sequence

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lifetimes import buffers_of
from mcukit.planning.placement import Conflicts, place
from mcukit.planning.plan import DEFAULT_REGION, Place, Plan, Stage
from mcukit.planning.schedule import partition, schedule
from mcukit.quantized.integer import IntegerModel


def plan_layers(model: IntegerModel) -> Plan:
    """One operator after the other, over whole maps."""
    flow = Dataflow(model)
    names = tuple(layer.name for layer in flow.layers)
    return plan_of(flow, (Stage(names),) if names else ())


def plan_of(flow: Dataflow, stages: Sequence[Stage], *, pushed: bool = False) -> Plan:
    """The plan with these stages, in one memory region.

    pushed: the application hands over the input row by row while the first stage runs.
    Raises McukitError "bad-stage" with all that is wrong with the stages.
    """
    tiles = partition(flow, stages, pushed)
    buffers, _ = buffers_of(flow, tiles, schedule(flow, tiles, pushed), pushed)
    offsets, arena_bytes = place(Conflicts(buffers))
    places = {
        name: Place(DEFAULT_REGION, offsets[position], buffer.bytes, buffer.rows, buffer.columns)
        for position, buffer in enumerate(buffers)
        if not buffer.scratch
        for name in buffer.names
    }
    scratch = {
        buffer.names[0]: Place(DEFAULT_REGION, offsets[position], buffer.bytes)
        for position, buffer in enumerate(buffers)
        if buffer.scratch
    }
    return Plan(tuple(stages), pushed, _with_views(flow, places), scratch, {DEFAULT_REGION: arena_bytes})


def _with_views(flow: Dataflow, places: Mapping[str, Place]) -> dict[str, Place]:
    """Places of all maps in the model's order; a view lies where its map lies, in rows of its own."""
    result = {}
    for tensor in flow.model.graph.maps():
        place = places[flow.owner(tensor.name)]
        if tensor.name in flow.views:
            height, width, _ = flow.shape(tensor.name)
            place = Place(place.region, place.offset, place.bytes, height, width)
        result[tensor.name] = place
    return result

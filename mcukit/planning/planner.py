# SPDX-License-Identifier: Apache-2.0
"""From stages to a Plan: every buffer gets its place."""

from __future__ import annotations

__all__ = ["plan_layers", "plan_of"]

from collections.abc import Mapping, Sequence

from mcukit.errors import McukitError
from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.lifetimes import BufferNeed, buffers_of
from mcukit.planning.placement import Conflicts
from mcukit.planning.plan import DEFAULT_REGION, Place, Plan, Stage
from mcukit.planning.region_budget import RegionBudget
from mcukit.planning.regions import (
    Assignment,
    Shortage,
    assign_buffers,
    assign_weights,
    constants_of,
)
from mcukit.planning.schedule import partition, schedule
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.integer import IntegerModel

_UNLIMITED = (RegionBudget(DEFAULT_REGION, 1 << 40),)


def plan_layers(model: IntegerModel) -> Plan:
    """One operator after the other, over whole maps."""
    flow = Dataflow(model)
    names = tuple(layer.name for layer in flow.layers)
    return plan_of(flow, (Stage(names),) if names else ())


def plan_of(
    flow: Dataflow,
    stages: Sequence[Stage],
    *,
    pushed: bool = False,
    regions: Sequence[RegionBudget] | None = None,
    weight_regions: Sequence[RegionBudget] | None = None,
) -> Plan:
    """The plan with these stages; the hottest buffers and weights lie in the fastest memory regions.

    pushed: the application hands over the input row by row while the first stage runs.
    regions: that may hold arenas, fastest first; None for a single one without limit.
    weight_regions: that may hold weights, fastest first, with at least one of flash; None for a single one without
    limit. Weights take what arenas leave of regions that are in both.
    Raises McukitError "bad-stage" with all that is wrong with the stages, and "budget-exceeded" with the largest buffer
    or weights that find no place.
    """
    tiles = partition(flow, stages, pushed)
    buffers, _ = buffers_of(flow, tiles, schedule(flow, tiles, pushed), pushed)
    assignment = _assigned(flow, buffers, _UNLIMITED if regions is None else regions)
    places: dict[str, Place] = {}
    scratch: dict[str, Place] = {}
    for position, buffer in enumerate(buffers):
        place = Place(*assignment.places[position], buffer.bytes, buffer.rows, buffer.columns)
        (scratch if buffer.scratch else places).update(dict.fromkeys(buffer.names, place))
    weights = {} if weight_regions is None else _weights(flow, tiles, weight_regions, assignment.arenas)
    return Plan(tuple(stages), pushed, _with_views(flow, places), scratch, assignment.arenas, weights)


def _assigned(flow: Dataflow, buffers: Sequence[BufferNeed], regions: Sequence[RegionBudget]) -> Assignment:
    """The regions of all buffers. The input must be where DMA reaches it, with all that lies in its place."""
    inputs = [i for i, buffer in enumerate(buffers) if flow.model.input.name in buffer.names and not buffer.scratch]
    found = assign_buffers(Conflicts(buffers), regions, inputs)
    if isinstance(found, Assignment):
        return found
    buffer = buffers[found.item]
    what = "scratch" if buffer.scratch else f"the map '{buffer.names[0]}'"
    names = [region.name for region in regions if region.dma or found.item not in inputs]
    raise _exceeded(
        flow,
        _layer_of(flow, buffer),
        f"{what} of {buffer.bytes:,} bytes finds no place beside the others in {_listed(names)}",
        found,
        "choose a board with more SRAM, a smaller input, or a schedule that needs less, such as --plan stream",
    )


def _weights(
    flow: Dataflow, tiles: Sequence[StageTiles], regions: Sequence[RegionBudget], arenas: Mapping[str, int]
) -> dict[str, str]:
    constants = constants_of(flow, tiles)
    found = assign_weights(constants, regions, arenas)
    if not isinstance(found, Shortage):
        return found
    item = constants[found.item]
    raise _exceeded(
        flow,
        next(index for index, layer in enumerate(flow.layers) if layer.name == item.layer),
        f"weights of {item.bytes:,} bytes find no place beside the others in "
        f"{_listed([region.name for region in regions if region.kind == 'flash'])}",
        found,
        "choose a board with more flash or a smaller network",
    )


def _layer_of(flow: Dataflow, buffer: BufferNeed) -> int:
    """The layer that a buffer is for: that computes the map in it, or whose scratch it is."""
    name = buffer.names[0]
    if not buffer.scratch:
        return flow.producer[name]
    return next(index for index, layer in enumerate(flow.layers) if layer.name == name)


def _exceeded(flow: Dataflow, layer: int, message: str, shortage: Shortage, hint: str) -> McukitError:
    where = "the input"
    if layer != INPUT:
        where = f"node '{flow.layers[layer].name}' ({flow.layers[layer].node.operator.op_name})"
    least = f"at least {shortage.missing:,} bytes are missing in {shortage.region}"
    return McukitError("budget-exceeded", f"{message}: {least}", where=where, hint=hint)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


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

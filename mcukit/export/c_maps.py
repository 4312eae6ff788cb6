# SPDX-License-Identifier: Apache-2.0
"""Feature maps as generated C describes them: whole, as rings of rows, and as tiles."""

from __future__ import annotations

__all__ = ["map_initializer", "tile_initializers"]

from mcukit.export.c_names import ModelNames
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Place, Plan
from mcukit.planning.tiles import StageTiles


def map_initializer(flow: Dataflow, plan: Plan, names: ModelNames, tensor: str) -> str:
    """The mk_map of a tensor with every column."""
    place = plan.maps[tensor]
    height, width, channels = flow.shape(tensor)
    if place.rows == height:
        return f"MK_WHOLE_MAP({names.address(place)}, {height}, {width}, {channels})"
    return f"MK_RING_MAP({names.address(place)}, {place.rows}, {height}, {width}, {channels})"


def tile_initializers(flow: Dataflow, plan: Plan, names: ModelNames, tiles: StageTiles, layer: int) -> list[str]:
    """The mk_map of each column tile of what a layer computes."""
    tensor = flow.layers[layer].output
    place = plan.maps[tensor]
    spans = [columns[layer - tiles.first] for columns in tiles.columns]
    whole = tensor in tiles.outgoing or tensor in flow.viewed
    return [_tile(flow, names, tensor, place, whole, (first, last)) for first, last in spans]


def _tile(flow: Dataflow, names: ModelNames, tensor: str, place: Place, whole: bool, columns: tuple[int, int]) -> str:
    """A whole map is held once for all tiles; any other buffer holds one tile at a time."""
    first, last = columns
    height, width, channels = flow.shape(tensor)
    skipped = first * channels if whole else 0
    sizes = (place.columns * channels, place.rows, first, last - first, height, width, channels)
    return f"MK_TILE_MAP({names.address(place, skipped)}, {', '.join(map(str, sizes))})"

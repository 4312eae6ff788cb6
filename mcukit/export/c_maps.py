# SPDX-License-Identifier: Apache-2.0
"""Feature maps as generated C describes them: whole, as rings of rows, and as tiles."""

from __future__ import annotations

__all__ = ["map_initializer", "narrow_initializers", "tile_initializers"]

from mcukit.export.c_names import ModelNames
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Place, Plan
from mcukit.planning.tiles import StageTiles


def map_initializer(flow: Dataflow, plan: Plan, names: ModelNames, tensor: str) -> str:
    """The mk_map of a tensor with every column."""
    place = plan.maps[tensor]
    form = flow.form(tensor)
    sizes = f"{form.height}, {form.width}, {form.channels}, {form.bits}"
    if place.rows == form.height:
        return f"MK_WHOLE_MAP({names.address(place)}, {sizes})"
    return f"MK_RING_MAP({names.address(place)}, {place.rows}, {sizes})"


def tile_initializers(flow: Dataflow, plan: Plan, names: ModelNames, tiles: StageTiles, layer: int) -> list[str]:
    """The mk_map of each column tile of what a layer computes."""
    tensor = flow.layers[layer].output
    place = plan.maps[tensor]
    spans = [columns[layer - tiles.first] for columns in tiles.columns]
    whole = tensor in tiles.outgoing or tensor in flow.viewed
    return [_tile(flow, names, tensor, place, whole, (first, last)) for first, last in spans]


def narrow_initializers(flow: Dataflow, plan: Plan, names: ModelNames, tiles: StageTiles, layer: int) -> list[str]:
    """The same for a layer's narrow form, one for all columns where these are no tiles.

    Rows begin where those of the other form do: the buffer is as wide as that one needs.
    """
    tensor = flow.layers[layer].output
    place, form = plan.maps[tensor], flow.narrow_form(tensor)
    row_bytes = place.columns * flow.form(tensor).pixel_bytes
    return [
        f"MK_TILE_MAP({names.address(place)}, {row_bytes}, {place.rows}, {first}, {last - first}, "
        f"{form.height}, {form.width}, {form.channels}, {form.bits})"
        for first, last in (columns[layer - tiles.first] for columns in tiles.columns)
    ]


def _tile(flow: Dataflow, names: ModelNames, tensor: str, place: Place, whole: bool, columns: tuple[int, int]) -> str:
    """A whole map is held once for all tiles; any other buffer holds one tile at a time."""
    first, last = columns
    form = flow.form(tensor)
    skipped = first * form.pixel_bytes if whole else 0
    held = (place.columns * form.pixel_bytes, place.rows, first, last - first)
    sizes = (*held, form.height, form.width, form.channels, form.bits)
    return f"MK_TILE_MAP({names.address(place, skipped)}, {', '.join(map(str, sizes))})"

# SPDX-License-Identifier: Apache-2.0
"""What report.json says about bits: how many maps and weights have which, and what multiplications cost then."""

from __future__ import annotations

__all__ = ["TileShares", "layer_bitops", "narrow_content", "precision_content", "tile_shares"]

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.tiles import StageTiles
from mcukit.precision.bitops import macs_of_network, macs_of_stages, macs_of_tiles, quantized_bitops
from mcukit.precision.vdpc import PatchClasses
from mcukit.quantized.branches import Branches
from mcukit.quantized.integer import IntegerModel, Layer, MapForm
from mcukit.quantized.packing import MAP_BITS

Tile = tuple[int, int]


@dataclass(frozen=True)
class TileShares:
    """How often each tile of the first stage takes its wide form.

    wide: 0 to 1, by row and column of the grid. source: what that follows from. "positions" are part of the model; a
    device that decides by values was watched over the calibration "images", or else all tiles are "assumed" to be wide.
    """

    wide: Mapping[Tile, float]
    source: Literal["positions", "images", "assumed"]


def tile_shares(branches: Branches, classes: PatchClasses | None) -> TileShares:
    """classes: of the patches, where the calibration images told them apart."""
    tiles = [(row, column) for row in range(branches.tile_rows) for column in range(branches.tile_columns)]
    if branches.test is None:
        return TileShares({tile: float(tile in branches.wide) for tile in tiles}, "positions")
    if classes is None:
        return TileShares(dict.fromkeys(tiles, 1.0), "assumed")
    return TileShares({position.tile: position.images for position in classes.positions}, "images")


def layer_bitops(flow: Dataflow, stages: Sequence[StageTiles], wide: Mapping[Tile, float] | None) -> dict[str, float]:
    """BitOPs of each layer with weights, by its name, with what tiles compute again.

    wide: how often each tile of the first stage is, for a model with branches.
    """
    graph, branches = flow.model.graph, flow.model.branches
    counted = quantized_bitops(graph, macs_of_stages(flow, stages)).layers
    costs = {layer.name: float(layer.bitops) for layer in counted}
    if branches is None or wide is None:
        return costs
    shares = {layer.name: layer.input_bits * layer.weight_bits for layer in quantized_bitops(graph).layers}
    narrow = {layer.name: layer.input_bits * layer.weight_bits for layer in quantized_bitops(branches.graph).layers}
    names = {ours.name: theirs.name for ours, theirs in zip(flow.layers, flow.narrow, strict=False)}
    costs |= dict.fromkeys(shares.keys() & names.keys(), 0.0)
    for tile in stages[0].regions:
        for name, macs in macs_of_tiles(flow, stages[0], (tile,)).items():
            if name in shares:
                costs[name] += macs * (wide[tile] * shares[name] + (1.0 - wide[tile]) * narrow[names[name]])
    return costs


def precision_content(
    model: IntegerModel, bitops: int, shares: TileShares | None, classes: PatchClasses | None
) -> dict[str, Any]:
    """The report's "precision". bitops: of one inference. shares: of a model with branches.

    maps, weights: how many have so many bits; views are no maps of their own. weight_reduction: how many times fewer
    bits all weights have than with 8 each. bitops_int8: of the same network with 8 bits, where nothing is computed
    twice; bitops_reduction: how many times fewer `bitops` are, below 1 where they are more.
    """
    computed = [layer for layer in model.layers if layer.kernel is not None]
    entry = MapForm.of(model.input)
    weights = [
        (model.graph.node_inputs(layer.node)[1].elements, layer.operator.weight_bits)
        for layer in computed
        if layer.node.operator.has_weights
    ]
    plain = 64 * sum(macs_of_network(model.graph).values())
    stored = sum(elements * bits for elements, bits in weights)
    return {
        "input_bits": entry.bits,
        "input_bytes": entry.height * entry.row_bytes,
        "maps": _counts([entry.bits, *(layer.output_form.bits for layer in computed)]),
        "weights": _counts(bits for _, bits in weights),
        "weight_reduction": 8 * sum(elements for elements, _ in weights) / stored if stored else 1.0,
        "bitops_int8": plain,
        "bitops_reduction": plain / bitops if bitops else 1.0,
        "branches": _branches(model.branches, shares, classes) if model.branches and shares else None,
    }


def narrow_content(layer: Layer, instructions: int | None) -> dict[str, Any]:
    """What narrow tiles have of a layer. instructions: as measured, in the narrow tiles of one inference."""
    form = layer.output_form
    return {
        "kernel": layer.kernel.function if layer.kernel else None,
        "input_bits": layer.forms[0].bits,
        "output_bits": form.bits,
        "map_bytes": form.height * form.row_bytes,
        "instructions": instructions,
    }


def _branches(branches: Branches, shares: TileShares, classes: PatchClasses | None) -> dict[str, Any]:
    """wide_from: what the tiles' wide_share follows from. Shares are 0 to 100.

    outliers: of all values that a tile read from calibration images. images: those in which it had too many of them.
    maps: as above, of what narrow tiles compute.
    """
    positions = {position.tile: position for position in classes.positions} if classes else {}
    test = branches.test
    return {
        "grid": [branches.tile_rows, branches.tile_columns],
        "wide": [list(tile) for tile in sorted(branches.wide)],
        "test": None if test is None else {"low": test.low, "high": test.high, "counts": list(test.counts)},
        "wide_from": shares.source,
        "maps": _counts(layer.output_form.bits for layer in branches.layers),
        "tiles": [
            {
                "tile": list(tile),
                "wide_share": 100.0 * share,
                "outliers": 100.0 * positions[tile].outliers if classes else None,
                "images": 100.0 * positions[tile].images if classes else None,
            }
            for tile, share in shares.wide.items()
        ],
    }


def _counts(widths: Iterable[int]) -> dict[str, int]:
    found = Counter(widths)
    return {str(bits): found[bits] for bits in MAP_BITS}

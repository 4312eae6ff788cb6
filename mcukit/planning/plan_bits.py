# SPDX-License-Identifier: Apache-2.0
"""The bits in plan.json: those of maps and weights, and which tiles are wide where tiles have two precisions.

All of it may be left out; then everything has 8 bits. Names are those of the network; the grid and the layers of tiles
of two precisions are those of the first stage.
"""

from __future__ import annotations

__all__ = ["Branching", "PlanBits", "bits_from_file", "bits_to_json", "read_bits"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcukit.json_object import JsonObject, read_json
from mcukit.quantized.branches import OutlierTest, narrow_name
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.precision import Precision

_WIDTHS = sorted(MAP_BITS, reverse=True)
_LARGEST_SIDE = (1 << 16) - 1
_LARGEST_COUNT = 1 << 30
_STORED = 1 << 9
"""Outlier limits may lie just outside of what 8 bits store: then no value is an outlier on that side."""


@dataclass(frozen=True)
class Branching:
    """narrow: bits of maps in narrow tiles, by tensor name. wide: tiles that are not narrow. test: decides instead."""

    narrow: Mapping[str, int]
    wide: tuple[tuple[int, int], ...] = ()
    test: OutlierTest | None = None


@dataclass(frozen=True)
class PlanBits:
    """precision: of the network, or of its wide tiles. branching: None where all tiles have the same bits."""

    precision: Precision = field(default_factory=Precision)
    branching: Branching | None = None


def bits_to_json(model: IntegerModel) -> dict[str, object]:
    """What plan.json says of a model's bits; nothing where all are 8."""
    graph, branches = model.graph, model.branches
    narrow = {} if branches is None else branches.graph.tensors
    maps: list[dict[str, object]] = []
    for tensor in graph.maps():
        entry: dict[str, object] = {"map": tensor.name, "bits": tensor.quantization.bits if tensor.quantization else 8}
        second = narrow.get(narrow_name(tensor.name))
        if second is not None and second.quantization is not None:
            entry["narrow"] = second.quantization.bits
        if entry["bits"] != 8 or entry.get("narrow", 8) != 8:
            maps.append(entry)
    weights = [
        {"layer": layer.name, "bits": layer.operator.weight_bits}
        for layer in model.layers
        if layer.operator.weight_bits != 8
    ]
    content: dict[str, object] = {"bits": maps} if maps else {}
    if weights:
        content["weight_bits"] = weights
    if branches is not None:
        wide = [{"row": row, "column": column} for row, column in sorted(branches.wide)]
        content["branches"] = {"wide": wide}
        if branches.test is not None:
            test = branches.test
            content["branches"] = {"test": {"low": test.low, "high": test.high, "counts": list(test.counts)}}
    return content


def bits_from_file(path: Path) -> PlanBits:
    """The bits that a plan.json asks for. Raises McukitError "unreadable-file" and "invalid-file"."""
    file = JsonObject(read_json(path), str(path), [])
    bits = read_bits(file)
    file.raise_problems()
    return bits


def read_bits(file: JsonObject) -> PlanBits:
    """The same from parsed JSON; what is wrong is noted in the file's problems."""
    maps: dict[str, int] = {}
    narrow: dict[str, int] = {}
    weights: dict[str, int] = {}
    for entry in file.objects("bits") if file.has("bits") else ():
        name = entry.text("map")
        if name in maps:
            entry.problem("map", "stands in the list twice", "take one of the two out")
        maps[name] = entry.integer_of("bits", _WIDTHS)
        if entry.has("narrow"):
            narrow[name] = entry.integer_of("narrow", _WIDTHS)
        entry.refuse_unknown()
    for entry in file.objects("weight_bits") if file.has("weight_bits") else ():
        name = entry.text("layer")
        if name in weights:
            entry.problem("layer", "stands in the list twice", "take one of the two out")
        weights[name] = entry.integer_of("bits", _WIDTHS)
        entry.refuse_unknown()
    branching = None
    if file.has("branches"):
        branching = _branching(file, narrow)
    elif narrow:
        file.problem(
            "bits", "'narrow' is given, but no 'branches'", 'say which tiles are wide: "branches": {"wide": []}'
        )
    return PlanBits(Precision(maps, weights), branching)


def _branching(file: JsonObject, narrow: Mapping[str, int]) -> Branching:
    entry = file.nested("branches")
    wide: list[tuple[int, int]] = []
    for tile in entry.objects("wide") if entry.has("wide") else ():
        position = tile.integer("row", 0, _LARGEST_SIDE), tile.integer("column", 0, _LARGEST_SIDE)
        if position in wide:
            tile.problem("row", "this tile stands in the list twice", "take one of the two out")
        wide.append(position)
        tile.refuse_unknown()
    test = None
    if entry.has("test"):
        values = entry.nested("test")
        low, high = (values.integer(key, -_STORED, _STORED) for key in ("low", "high"))
        test = OutlierTest(low, high, values.counts("counts", _LARGEST_COUNT))
        values.refuse_unknown()
        if wide:
            entry.problem("test", "positions in 'wide' decide already", "leave one of the two out")
    entry.refuse_unknown()
    return Branching(narrow, tuple(wide), test)

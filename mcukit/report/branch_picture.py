# SPDX-License-Identifier: Apache-2.0
"""The patches of a model with branches on the map that feeds them: which are wide, and where their outliers are."""

from __future__ import annotations

__all__ = ["BranchPicture", "Patch", "branch_picture"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcukit.graph.region import Region
from mcukit.planning.branch_stage import branch_tiles
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.receptive_field import grid_shares
from mcukit.planning.tiles import StageTiles
from mcukit.report.blocks import Column, Table, printable
from mcukit.report.map_canvas import MapCanvas, Rectangle
from mcukit.report.units import ABSENT, count, short_name

_LONGEST_SIDE, _SHORTEST_SIDE = 460.0, 90.0
_UNKNOWN = 0.3
_LETTER, _LINE = 6.2, 14.0
_MOST_HALOS = 36
"""Of a finer grid no halos are drawn, but that of the tile pointed at: their outlines would cover everything."""

_MOST_ROWS = 36
"""Of the table beside the picture. A finer grid has its figures in the picture and in report.json."""


@dataclass(frozen=True)
class Patch:
    """One tile. kind: "wide", "narrow", or "either" where values decide. strength: of the colour, 0 to 1.

    share: its part of the map without halo. reads: with it. lines: what is written in it, with places.
    """

    kind: str
    strength: float
    share: Rectangle
    reads: Rectangle
    title: str
    lines: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class BranchPicture:
    """A map of `width` x `height` units, its patches, what their colours mean, and the same in a table.

    keys: kind and meaning. halos: whether there are any that are drawn. table: None for very fine grids.
    """

    width: float
    height: float
    map: Rectangle
    patches: tuple[Patch, ...]
    keys: tuple[tuple[str, str], ...]
    halos: bool
    facts: str
    table: Table | None


def branch_picture(flow: Dataflow, branches: Mapping[str, Any]) -> BranchPicture:
    """The picture of a model with branches. branches: what the report's "precision" says of them."""
    tiles = branch_tiles(flow)
    name = max(tiles.incoming, key=lambda incoming: flow.whole(incoming).pixels)
    whole = flow.whole(name)
    canvas = MapCanvas(whole, _LONGEST_SIDE, _SHORTEST_SIDE)
    shares = grid_shares(whole.rows, whole.columns, tiles.stage)
    reads = {tile: inputs[name] for tile, inputs in tiles.inputs.items()}
    bits = _branch_bits(flow, tiles)
    entries = {(entry["tile"][0], entry["tile"][1]): entry for entry in branches["tiles"]}
    patches = []
    for tile, entry in entries.items():
        kind, share = _kind(branches, entry), canvas.rectangle(shares[tile])
        strength = _strength(branches, entry) if kind == "either" else 1.0
        lines = tuple(_written(share, _texts(bits[kind], kind, entry)))
        title = _title(tile, reads[tile], bits[kind], entry)
        patches.append(Patch(kind, strength, share, canvas.rectangle(reads[tile]), title, lines))
    return BranchPicture(
        width=canvas.width,
        height=canvas.height,
        map=canvas.rectangle(whole),
        patches=tuple(patches),
        keys=tuple((kind, f"{_MEANING[kind]}: {bits[kind]} bits") for kind in _KINDS if _occurs(kind, patches)),
        halos=len(patches) <= _MOST_HALOS and any(reads[tile] != shares[tile] for tile in reads),
        facts=_facts(flow, name, branches),
        table=_table(branches, reads, bits) if len(patches) <= _MOST_ROWS else None,
    )


_KINDS = ("wide", "narrow", "either")
_MEANING = {"wide": "wide tile", "narrow": "narrow tile", "either": "by its values"}


def _occurs(kind: str, patches: Sequence[Patch]) -> bool:
    return any(patch.kind == kind for patch in patches)


def _kind(branches: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    if branches["test"] is not None:
        return "either"
    return "wide" if entry["wide_share"] else "narrow"


def _strength(branches: Mapping[str, Any], entry: Mapping[str, Any]) -> float:
    """Of the colour of a tile whose values decide: how often it is wide; the same for all where that is not known."""
    return float(entry["wide_share"]) / 100 if branches["wide_from"] == "images" else _UNKNOWN


def _branch_bits(flow: Dataflow, tiles: StageTiles) -> dict[str, str]:
    """Bits of the maps that a tile computes, widest first, by kind of the tile.

    Maps that leave the stage are the same for both; they count where there are no others.
    """
    pairs = list(zip(flow.layers, flow.narrow, strict=False))
    inner = [pair for pair in pairs if pair[0].output not in tiles.outgoing] or pairs
    texts = []
    for form in (0, 1):
        widths = {pair[form].output_form.bits for pair in inner}
        texts.append("/".join(str(bits) for bits in sorted(widths, reverse=True)))
    return {"wide": texts[0], "narrow": texts[1], "either": f"{texts[0]} or {texts[1]}"}


def _texts(bits: str, kind: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Lines for a tile, what matters most first, each in a long form and in shorter ones."""
    yield f"{bits} bits", bits
    if entry["outliers"] is not None:
        number = f"{entry['outliers']:.1f} %"
        yield f"{number} outliers", number
    if entry["images"] is not None:
        number = f"{entry['images']:.0f} %"
        yield (f"wide in {number}", number) if kind == "either" else (f"in {number} of images", f"in {number}")


def _written(share: Rectangle, lines: Iterator[tuple[str, ...]]) -> Iterator[tuple[float, float, str]]:
    """The lines that the tile has room for, around its middle. Where one must be shortened, all are."""
    forms = [line for line, _ in zip(lines, range(int(share.height // _LINE)), strict=False)]
    for length in (0, -1):
        chosen = [line[length] for line in forms]
        if all(len(text) * _LETTER <= share.width - 2.0 for text in chosen):
            break
    else:
        chosen = [text for text in chosen[:1] if len(text) * _LETTER <= share.width - 2.0]
    first = share.y + share.height / 2 - _LINE * (len(chosen) - 1) / 2
    for index, text in enumerate(chosen):
        yield share.x + share.width / 2, first + _LINE * index, text


def _title(tile: tuple[int, int], read: Region, bits: str, entry: Mapping[str, Any]) -> str:
    rows, columns = f"{read.first_row} to {read.last_row - 1}", f"{read.first_column} to {read.last_column - 1}"
    lines = [f"tile {tile[0] + 1}, {tile[1] + 1}: {bits} bits"]
    lines.append(f"reads {read.rows} x {read.columns}: rows {rows}, columns {columns}")
    if entry["outliers"] is not None:
        lines.append(f"outliers: {entry['outliers']:.2f} % of the values that it reads")
        lines.append(f"too many of them in {entry['images']:.1f} % of the images")
    return "\n".join(lines)


def _facts(flow: Dataflow, name: str, branches: Mapping[str, Any]) -> str:
    whole, (rows, columns) = flow.whole(name), branches["grid"]
    shown = "the network's input" if name == flow.model.input.name else f"the map {printable(short_name(name))}"
    text = f"The {rows} x {columns} tiles on {shown}, {whole.rows} x {whole.columns} pixels."
    test = branches["test"]
    if test is None:
        text += f" Wide by position: {count(len(branches['wide']))} of {count(rows * columns)}."
    else:
        text += (
            f" The device counts stored values below {test['low']} or above {test['high']}; a tile that reads too many "
            "of them is wide."
        )
        if branches["wide_from"] == "images":
            text += " The stronger the colour, the more often that was so over the calibration images."
    if any(entry["images"] is not None for entry in branches["tiles"]):
        text += (
            " Outliers are given as their share of the values that the tile reads, and with the share of the "
            "calibration images in which it reads too many of them."
        )
    return text


def _table(branches: Mapping[str, Any], reads: Mapping[tuple[int, int], Region], bits: Mapping[str, str]) -> Table:
    """A row for each tile; columns that nothing is known for are left out."""
    entries = branches["tiles"]
    kinds = [_kind(branches, entry) for entry in entries]
    regions = [reads[entry["tile"][0], entry["tile"][1]] for entry in entries]
    columns = [
        (Column("tile", right=True), [f"{entry['tile'][0] + 1}, {entry['tile'][1] + 1}" for entry in entries]),
        (Column("form", whole=True), [_MEANING[kind].removesuffix(" tile") for kind in kinds]),
        (Column("bits", right=True), [bits[kind] for kind in kinds]),
        (Column("reads", right=True), [f"{region.rows} x {region.columns}" for region in regions]),
    ]
    if branches["test"] is not None:
        columns.append((Column("wide from", right=True), [count(number) for number in branches["test"]["counts"]]))
    for title, field, digits in (("outliers", "outliers", 2), ("in images", "images", 1)):
        if any(entry[field] is not None for entry in entries):
            texts = [ABSENT if entry[field] is None else f"{entry[field]:.{digits}f} %" for entry in entries]
            columns.append((Column(title, right=True), texts))
    return Table(tuple(column for column, _ in columns), tuple(zip(*(texts for _, texts in columns), strict=True)))

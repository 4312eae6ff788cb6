# SPDX-License-Identifier: Apache-2.0
"""Bits along the network: for each layer those of its map and of its weights, and the bytes that follow."""

from __future__ import annotations

__all__ = ["Bar", "BitsPicture", "Panel", "bits_picture"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from mcukit.quantities import counted
from mcukit.report.bits import has_bits
from mcukit.report.blocks import printable
from mcukit.report.map_canvas import Rectangle
from mcukit.report.memory_picture import Box, Guide, Label
from mcukit.report.units import kibibytes, short_name, size, thousands

_WIDTH = 1040.0
_LEFT, _RIGHT = 58.0, 6.0
_WIDEST = 110.0
"""Of a layer's column: a short network does not fill the page."""

_TITLE, _BELOW = 24.0, 10.0
"""Room for a panel's title above it, and between panels."""

_BITS_HEIGHT, _BYTES_HEIGHT = 64.0, 104.0
_HEADROOM = 38.0
"""Above the longest bar of bytes, for its label."""

_AXIS_HEIGHT = 48.0
_LETTER, _LINE = 6.4, 12.0
_GUIDES = 4
"""Round numbers of bytes beside a panel, at most."""


@dataclass(frozen=True)
class Bar:
    """One layer's part of a panel. parts: class and place of each rectangle, the hindmost first."""

    title: str
    parts: tuple[tuple[str, Rectangle], ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Panel:
    """A row of bars that stand on `bottom`."""

    title: str
    top: float
    bottom: float
    guides: tuple[Guide, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class BitsPicture:
    """Ready to be written as SVG. columns: of the layers, below the panels. tiled: those that run in two forms.

    widths: of maps and weights, that occur, for the key. outlined: whether a map would be larger with 8 bits.
    """

    width: float
    height: float
    left: float
    right: float
    bottom: float
    panels: tuple[Panel, ...]
    columns: tuple[Box, ...]
    tiled: Box | None
    widths: tuple[int, ...]
    outlined: bool


@dataclass(frozen=True)
class _Map:
    """A column of the picture: the network's input, or what a layer computes, with the layer's weights.

    narrow_bits, narrow_bytes: in narrow tiles, else the same again. weight_bits: None where there are no weights.
    """

    number: str
    name: str
    operator: str
    bits: int
    bytes: int
    int8_bytes: int
    narrow_bits: int
    narrow_bytes: int
    weight_bits: int | None
    weight_bytes: int
    tiled: bool

    @property
    def differs(self) -> bool:
        return self.narrow_bits != self.bits

    @property
    def title(self) -> str:
        lines = [f"{self.number} {self.operator}\n{printable(short_name(self.name))}".strip()]
        lines.append(f"map: {self.bits} bits, {size(self.bytes)}")
        if self.differs:
            lines.append(f"in narrow tiles: {self.narrow_bits} bits, the whole map {size(self.narrow_bytes)}")
        if self.int8_bytes != self.bytes:
            lines.append(f"with 8 bits: {size(self.int8_bytes)}")
        if self.weight_bits is not None:
            lines.append(f"weights: {self.weight_bits} bits, {size(self.weight_bytes)} with all constants")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Scale:
    """Where a value lies in a panel, and how wide the columns are."""

    bottom: float
    unit: float
    column: float

    def rectangle(self, index: int, value: float) -> Rectangle:
        gap = 1.0 if self.column > 4.0 else 0.3
        height = value * self.unit
        return Rectangle(
            _LEFT + index * self.column + gap / 2, self.bottom - height, max(self.column - gap, 0.5), height
        )


def bits_picture(content: Mapping[str, Any]) -> BitsPicture | None:
    """The picture of a report's content; None where all has 8 bits."""
    if not has_bits(content):
        return None
    maps = _maps(content)
    column = min((_WIDTH - _LEFT - _RIGHT) / len(maps), _WIDEST)
    right = _LEFT + column * len(maps)
    panels, top = [], 0.0
    for draw, height in ((_map_bits, _BITS_HEIGHT), (_map_bytes, _BYTES_HEIGHT)):
        panels.append(draw(maps, top + _TITLE, top + _TITLE + height, column))
        top = panels[-1].bottom + _BELOW
    if any(entry.weight_bits is not None for entry in maps):
        for draw, height in ((_weight_bits, _BITS_HEIGHT), (_weight_bytes, _BYTES_HEIGHT)):
            panels.append(draw(maps, top + _TITLE, top + _TITLE + height, column))
            top = panels[-1].bottom + _BELOW
    bottom = panels[-1].bottom
    widths = {bits for entry in maps for bits in (entry.bits, entry.narrow_bits, entry.weight_bits) if bits is not None}
    return BitsPicture(
        width=right + _RIGHT,
        height=bottom + _AXIS_HEIGHT,
        left=_LEFT,
        right=right,
        bottom=bottom,
        panels=tuple(panels),
        columns=tuple(_columns(maps, column)),
        tiled=_tiled(maps, column, content["precision"]["branches"]),
        widths=tuple(sorted(widths, reverse=True)),
        outlined=any(entry.int8_bytes > entry.bytes for entry in maps),
    )


def _maps(content: Mapping[str, Any]) -> list[_Map]:
    precision = content["precision"]
    bits, held = precision["input_bits"], precision["input_bytes"]
    whole = prod(content["input_shape"])
    first = _Map("", "the network's input", "", bits, held, whole, bits, held, None, 0, tiled=False)
    return [first, *(_map(number, layer) for number, layer in enumerate(content["layers"], start=1))]


def _map(number: int, layer: Mapping[str, Any]) -> _Map:
    narrow = layer.get("narrow")
    form = narrow or layer
    return _Map(
        number=str(number),
        name=layer["name"],
        operator=layer["op"],
        bits=layer["output_bits"],
        bytes=layer["map_bytes"],
        int8_bytes=prod(layer["output_shape"]),
        narrow_bits=form["output_bits"],
        narrow_bytes=form["map_bytes"],
        weight_bits=layer["weight_bits"],
        weight_bytes=layer["weight_bytes"],
        tiled=narrow is not None,
    )


def _map_bits(maps: Sequence[_Map], top: float, bottom: float, column: float) -> Panel:
    scale = _Scale(bottom, (bottom - top) / 8, column)
    bars = []
    for index, entry in enumerate(maps):
        parts = [(f"bits-{entry.narrow_bits}", scale.rectangle(index, entry.narrow_bits))]
        if entry.differs:
            parts.insert(0, (f"bits-{entry.bits} pale", scale.rectangle(index, entry.bits)))
        bars.append(Bar(entry.title, tuple(parts), tuple(_digits(parts, (entry.bits, entry.narrow_bits)))))
    return Panel("bits of maps", top, bottom, _bit_guides(scale), tuple(bars))


def _weight_bits(maps: Sequence[_Map], top: float, bottom: float, column: float) -> Panel:
    scale = _Scale(bottom, (bottom - top) / 8, column)
    bars = []
    for index, entry in enumerate(maps):
        if entry.weight_bits is not None:
            parts = [(f"bits-{entry.weight_bits}", scale.rectangle(index, entry.weight_bits))]
            bars.append(Bar(entry.title, tuple(parts), tuple(_digits(parts, (entry.weight_bits,)))))
    return Panel("bits of weights", top, bottom, _bit_guides(scale), tuple(bars))


def _digits(parts: Sequence[tuple[str, Rectangle]], bits: Sequence[int]) -> Iterator[Label]:
    """How many bits, at the upper end of each bar that is wide enough. bits: of the bars, from behind."""
    for (_, bar), width in zip(parts, bits, strict=False):
        if bar.width >= _LETTER:
            yield Label(bar.x + bar.width / 2, bar.y + _LINE / 2 + 1.0, str(width), upright=False)


def _bit_guides(scale: _Scale) -> tuple[Guide, ...]:
    return tuple(Guide(scale.bottom - bits * scale.unit, str(bits), "grid") for bits in (2, 4, 8))


def _map_bytes(maps: Sequence[_Map], top: float, bottom: float, column: float) -> Panel:
    scale = _bytes_scale(max(entry.int8_bytes for entry in maps), top, bottom, column)
    bars = []
    for index, entry in enumerate(maps):
        own = scale.rectangle(index, entry.bytes)
        parts = [(f"bits-{entry.narrow_bits}", scale.rectangle(index, entry.narrow_bytes))]
        if entry.differs:
            parts.insert(0, (f"bits-{entry.bits} pale", own))
        if entry.int8_bytes > entry.bytes:
            parts.insert(0, ("int8", scale.rectangle(index, entry.int8_bytes)))
        bars.append(Bar(entry.title, tuple(parts), tuple(_sizes(entry, parts, own))))
    return Panel("bytes of maps", top, bottom, _byte_guides(scale, top), tuple(bars))


def _sizes(entry: _Map, parts: Sequence[tuple[str, Rectangle]], own: Rectangle) -> Iterator[Label]:
    """Bytes of the map above its bar, and inside of it those that narrow tiles would make it, where there is room."""
    inner = parts[-1][1]
    room = own.height - inner.height >= _LINE + 2.0
    text = thousands(entry.bytes)
    if entry.differs and room and len(thousands(entry.narrow_bytes)) * _LETTER <= inner.width:
        middle = inner.y - _LINE / 2
        yield Label(inner.x + inner.width / 2, middle, thousands(entry.narrow_bytes), upright=False)
    elif entry.differs and not room:
        text = f"{text} / {thousands(entry.narrow_bytes)}"
    yield from _above(text, own)


def _weight_bytes(maps: Sequence[_Map], top: float, bottom: float, column: float) -> Panel:
    most = max(entry.weight_bytes for entry in maps if entry.weight_bits is not None)
    scale = _bytes_scale(most, top, bottom, column)
    bars = []
    for index, entry in enumerate(maps):
        if entry.weight_bits is not None:
            bar = scale.rectangle(index, entry.weight_bytes)
            labels = tuple(_above(thousands(entry.weight_bytes), bar))
            bars.append(Bar(entry.title, ((f"bits-{entry.weight_bits}", bar),), labels))
    return Panel("bytes of weights, with biases and scales", top, bottom, _byte_guides(scale, top), tuple(bars))


def _bytes_scale(most: int, top: float, bottom: float, column: float) -> _Scale:
    return _Scale(bottom, (bottom - top - _HEADROOM) / max(most, 1), column)


def _byte_guides(scale: _Scale, top: float) -> tuple[Guide, ...]:
    most = (scale.bottom - top) / scale.unit
    step = 1
    while most / step > _GUIDES:
        step *= 2
    values = range(0, int(most) + 1, step)
    return tuple(Guide(scale.bottom - value * scale.unit, kibibytes(value), "grid") for value in values)


def _above(text: str, bar: Rectangle) -> Iterator[Label]:
    """A label on top of a bar: level, or upright and then only the part before a blank, or none."""
    middle, length = bar.x + bar.width / 2, len(text) * _LETTER
    if length <= bar.width + 1.0:
        yield Label(middle, bar.y - _LINE / 2, text, upright=False)
    elif bar.width >= _LINE - 1.0:
        short = text.partition(" ")[0]
        yield Label(middle, bar.y - len(short) * _LETTER / 2 - 3.0, short, upright=True)


def _columns(maps: Sequence[_Map], column: float) -> Iterator[Box]:
    """A number below each column that has room for it, the first one without being the input."""
    taken = 0.0
    for index, entry in enumerate(maps):
        label = entry.number or "in"
        x, half = _LEFT + index * column, len(label) * _LETTER / 2
        if x + column / 2 - half < taken + 2.0:
            label = ""
        else:
            taken = x + column / 2 + half
        yield Box(x, column, label, entry.title)


def _tiled(maps: Sequence[_Map], column: float, branches: Mapping[str, Any] | None) -> Box | None:
    last = max((index for index, entry in enumerate(maps) if entry.tiled), default=None)
    if branches is None or last is None:
        return None
    rows, columns = branches["grid"]
    width = last * column
    texts = (f"tiles of two forms, {rows} x {columns}", f"tiles, {rows} x {columns}", "tiles", "")
    label = next(text for text in texts if len(text) * _LETTER <= width)
    return Box(_LEFT + column, width, label, f"{counted(last, 'layer')} in {rows} x {columns} tiles, wide or narrow")

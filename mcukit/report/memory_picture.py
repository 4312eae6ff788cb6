# SPDX-License-Identifier: Apache-2.0
"""Memory over time as shapes: time from left to right, addresses from bottom to top."""

from __future__ import annotations

__all__ = ["Box", "Guide", "Label", "MemoryPicture", "MemoryShape", "memory_picture"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.plan import Plan
from mcukit.quantities import counted
from mcukit.quantized.integer import Layer
from mcukit.report.blocks import printable
from mcukit.report.memory import BEFORE, Holding, Kind, MemoryTimeline, Phase
from mcukit.report.outlines import Outline, ToX, outline_path, outline_room, outlines_of
from mcukit.report.stages import group_number, stage_groups
from mcukit.report.units import count, kibibytes, layer_numbers, size

_WIDTH = 1040.0
_LEFT, _RIGHT, _TOP = 58.0, 6.0, 30.0
_PLOT_HEIGHT = 400.0
_AXIS_HEIGHT = 46.0
_ENDS = 10.0
"""Width of the columns before the first row and after the last."""

_NARROWEST = 13.0
"""Of a layer on the time axis: two digits fit."""

_LETTER = 6.1
"""Width of a character of a label, on average."""

_MOST_TILE_MARKS = 400
_LONGEST_TITLE = 300
_LONGEST_LABEL = 24
_SHORT = 3
"""A label of so few letters is never turned."""

_HEADROOM = 1.6
"""A budget up to this many arenas is drawn: one that is far away would press the picture flat."""


@dataclass(frozen=True)
class Label:
    """Text in the middle of (x, y). upright: whether it is turned by 90 degrees."""

    x: float
    y: float
    text: str
    upright: bool


@dataclass(frozen=True)
class MemoryShape:
    """A buffer. path: its outline as SVG path data. tone: 0 or 1, so that neighbours in the arena differ."""

    path: str
    kind: Kind
    tone: int
    title: str
    label: Label | None


@dataclass(frozen=True)
class Guide:
    """A line across the picture. kind: "grid", "arena" or "budget"."""

    y: float
    label: str
    kind: str


@dataclass(frozen=True)
class Box:
    """A layer or a stage on the time axis."""

    x: float
    width: float
    label: str
    title: str

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class MemoryPicture:
    """One memory region, ready to be written as SVG in units of width x height.

    busiest_x: when the most bytes are in use. tile_marks: x where tiles begin. kinds: that occur, for the key.
    facts: what the picture shows, in words.
    """

    region: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    shapes: tuple[MemoryShape, ...]
    guides: tuple[Guide, ...]
    layers: tuple[Box, ...]
    stages: tuple[Box, ...]
    tile_marks: tuple[float, ...]
    busiest_x: float
    kinds: tuple[Kind, ...]
    facts: str


def memory_picture(
    flow: Dataflow, plan: Plan, parts: Sequence[Phase], timeline: MemoryTimeline, budget: int | None
) -> MemoryPicture:
    """The picture of a region. budget: bytes that it may have, drawn where it is near."""
    near = budget if budget is not None and budget <= _HEADROOM * timeline.arena_bytes else None
    highest = max(timeline.arena_bytes, near or 0, 1)
    bottom = _TOP + _PLOT_HEIGHT
    unit = _PLOT_HEIGHT / highest
    place_x = _time_axis(parts)
    holdings = sorted(timeline.holdings, key=lambda holding: (int(holding.cells.born.min()), holding.offset))
    outlines = outlines_of(holdings, place_x, unit)
    shapes = tuple(
        _shape(flow, holding, outline, tone, bottom)
        for holding, outline, tone in zip(holdings, outlines, _tones(holdings), strict=True)
    )
    values = [(value, kibibytes(value), "grid") for value in _round_values(highest)]
    values.append((timeline.arena_bytes, f"arena {size(timeline.arena_bytes)}", "arena"))
    if near is not None:
        values.append((near, f"budget {size(near)}", "budget"))
    marks = [part.tiles[1:] for part in parts if len(part.tiles) <= _MOST_TILE_MARKS]
    return MemoryPicture(
        region=timeline.region,
        width=_WIDTH,
        height=bottom + _AXIS_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=bottom,
        shapes=shapes,
        guides=tuple(Guide(bottom - value * unit, label, kind) for value, label, kind in values),
        layers=tuple(_layer_boxes(flow, parts, place_x)),
        stages=tuple(_stage_boxes(plan, parts, place_x)),
        tile_marks=tuple(float(place_x(np.array(tick))) for ticks in marks for tick in ticks),
        busiest_x=float(place_x(np.array(timeline.busiest + 0.5))),
        kinds=tuple(dict.fromkeys(holding.kind for holding in holdings)),
        facts=_facts(flow, timeline, None if near is not None else budget),
    )


def _time_axis(parts: Sequence[Phase]) -> ToX:
    """Ticks to x. A phase is as wide as it has ticks, but every layer gets its least width.

    Otherwise the last layers of a network, with their few rows, would be too narrow to be seen.
    """
    ends = [part.last for part in parts]
    room = _WIDTH - _LEFT - _RIGHT - 2 * _ENDS
    layers = np.array([len(part.layers) for part in parts], np.float64)
    least = min(_NARROWEST, 0.6 * room / max(layers.sum(), 1.0))
    ticks = np.diff(np.array([0, *ends], np.float64))
    widths = least * layers + (room - least * layers.sum()) * ticks / max(ticks.sum(), 1.0)
    last = ends[-1] if ends else 0
    knots = np.array([BEFORE, 0, *ends, last + 1], np.float64)
    places = _LEFT + np.cumsum([0.0, _ENDS, *widths, _ENDS])
    return lambda values: np.interp(values.astype(np.float64), knots, places)


def _tones(holdings: Sequence[Holding]) -> list[int]:
    """Two shades: each buffer takes the one that fewer of those that it meets have."""
    tones: list[int] = []
    spans = [(int(h.cells.born.min()), int(h.cells.dies.max())) for h in holdings]
    for index, (born, dies) in enumerate(spans):
        near = [
            tone
            for other, tone in enumerate(tones)
            if spans[other][0] <= dies + 1
            and born <= spans[other][1] + 1
            and _touches(holdings[other], holdings[index])
        ]
        tones.append(int(near.count(0) > near.count(1)))
    return tones


def _touches(first: Holding, second: Holding) -> bool:
    return first.offset <= second.offset + second.bytes and second.offset <= first.offset + first.bytes


def _shape(flow: Dataflow, holding: Holding, outline: Outline, tone: int, bottom: float) -> MemoryShape:
    numbers = layer_numbers(flow.model)
    layers = _layers(flow, holding)
    number = " = ".join(str(numbers[layer.name]) for layer in layers)
    names = " = ".join(printable(name) for name in holding.names)
    if layers:
        described = f"{number} {layers[0].node.operator.op_name}"
        own = f"{number} {printable(layers[0].name)}"
        labels: tuple[str, ...] = (own, described, number) if len(own) <= _LONGEST_LABEL else (described, number)
        title = f"{names}\nlayer {described}"
    else:
        labels, title = (names, "input"), names
    if len(title) > _LONGEST_TITLE:
        title = f"{title[:_LONGEST_TITLE]}..."
    path = outline_path(outline, bottom)
    return MemoryShape(path, holding.kind, tone, f"{title}\n{_held(holding)}", _label(labels, outline, bottom))


def _layers(flow: Dataflow, holding: Holding) -> list[Layer]:
    """The layers that write what is held; none for the network's input."""
    if holding.kind == "scratch":
        return [layer for layer in flow.layers if layer.name in holding.names]
    return [flow.layers[flow.producer[name]] for name in holding.names if flow.producer[name] != INPUT]


def _held(holding: Holding) -> str:
    place = f"{size(holding.bytes)} at {count(holding.offset)} in {printable(holding.region)}"
    if holding.kind == "scratch":
        return f"working memory: {place}"
    rows = f"{count(holding.rows)} of {count(holding.height)} rows"
    columns = f"{count(holding.columns)} of {count(holding.width)} columns"
    return f"{place}\n{rows}, {columns}"


def _label(names: Sequence[str], outline: Outline, bottom: float) -> Label | None:
    """The longest name that fits, level rather than upright."""
    for text in names:
        for upright in (False, True) if len(text) > _SHORT else (False,):
            room = outline_room(outline, len(text) * _LETTER + 4.0, upright)
            if room is not None:
                return Label(room[0], bottom - room[1], text, upright)
    return None


def _round_values(highest: int) -> Iterator[int]:
    """Between four and eight round numbers of bytes up to `highest`."""
    step = 1
    while highest / step > 8:
        step *= 2
    return iter(range(0, highest + 1, step))


def _layer_boxes(flow: Dataflow, parts: Sequence[Phase], place_x: ToX) -> Iterator[Box]:
    """The number of each layer, as in the table of layers; from the first to the last where they take turns."""
    numbers = layer_numbers(flow.model)
    taken = 0.0
    for part in parts:
        names = [flow.layers[index].name for index in (part.layers[0], part.layers[-1])]
        labels = [str(numbers[name]) for name in names]
        title = " to ".join(f"{label} {printable(name)}" for label, name in zip(labels, names, strict=True))
        if len(part.layers) == 1:
            labels, title = labels[:1], f"{labels[0]} {printable(names[0])}"
        box, taken = _box(part.first, part.last, (" to ".join(labels), labels[0]), title, place_x, taken)
        yield box


def _stage_boxes(plan: Plan, parts: Sequence[Phase], place_x: ToX) -> Iterator[Box]:
    taken = 0.0
    for group in stage_groups(plan.stages):
        own = [part for part in parts if part.stage in group]
        stage, number = plan.stages[group.start], group_number(group)
        grid = f" {stage.tile_rows} x {stage.tile_columns}" if stage.tiled else ""
        name = f"{'stage' if len(group) == 1 else 'stages'} {number}: {stage.schedule}{grid}"
        layers = sum(len(part.layers) for part in own)
        title = f"{name}, {counted(layers, 'layer')}, {counted(own[-1].last - own[0].first, 'row')} computed"
        box, taken = _box(own[0].first, own[-1].last, (name, number), title, place_x, taken)
        yield box


def _box(first: int, last: int, labels: tuple[str, str], title: str, place_x: ToX, taken: float) -> tuple[Box, float]:
    """A box, and how far its label reaches. labels: a long one, taken where it fits, and a short one.

    The short one may be wider than the box, but not reach into `taken`, where an earlier label ends.
    """
    left, right = place_x(np.array([first, last])).tolist()
    label = labels[0] if len(labels[0]) * _LETTER <= right - left else labels[1]
    half = len(label) * _LETTER / 2
    if (left + right) / 2 - half < taken + 1.0:
        return Box(left, right - left, "", title), taken
    return Box(left, right - left, label, title), (left + right) / 2 + half


def _facts(flow: Dataflow, timeline: MemoryTimeline, far_budget: int | None) -> str:
    when = "before the first layer"
    if timeline.busiest_layer != INPUT:
        layer = flow.layers[timeline.busiest_layer]
        when = f"while layer {layer_numbers(flow.model)[layer.name]} ({layer.node.operator.op_name}) is computed"
    gap = timeline.arena_bytes - timeline.alive_bytes
    rest = "none is lost between buffers" if gap == 0 else f"{size(gap)} lie unused between buffers then"
    text = f"At most {size(timeline.alive_bytes)} are in use at once, {when}: {rest}."
    if far_budget is not None:
        text += f" The budget of {size(far_budget)} lies above the picture."
    return text

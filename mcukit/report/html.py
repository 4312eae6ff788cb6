# SPDX-License-Identifier: Apache-2.0
"""One HTML file that shows a build: no scripts, nothing loaded from elsewhere, readable in ten years."""

from __future__ import annotations

__all__ = ["render_html"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from mcukit import __version__
from mcukit.planning.plan import Plan
from mcukit.report.blocks import printable
from mcukit.report.memory import MemoryBlock, memory_blocks
from mcukit.report.units import count, percent, ratio, shape, short_name, size

_CHART_WIDTH = 960.0
_CHART_HEIGHT = 320.0
_LABEL_WIDTH = 6.2
"""Of one character in the chart, in its units."""


@dataclass(frozen=True)
class _Bar:
    """A budget and what is used of it. share: percent, not above 100; fits: whether it is enough."""

    label: str
    used: int
    budget: int

    @property
    def share(self) -> float:
        return min(100.0 * self.used / self.budget, 100.0) if self.budget else 100.0

    @property
    def fits(self) -> bool:
        return self.used <= self.budget


@dataclass(frozen=True)
class _Rectangle:
    """A block of memory in the chart's units. label: "" where it would not fit."""

    x: float
    y: float
    width: float
    height: float
    label: str
    title: str
    kind: str


def render_html(content: Mapping[str, Any], plan: Plan | None = None) -> str:
    """The page for the content of report.json.

    plan: draws memory over time, where the layers of the content say what they read and write.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mcukit.report"),
        autoescape=True,  # every name comes from a model file, which anyone may have made
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(count=count, percent=percent, ratio=ratio, shape=shape, size=size)
    environment.filters.update(printable=printable, short_name=short_name)
    blocks = memory_blocks(plan, content["layers"]) if plan else ()
    return environment.get_template("report.html.j2").render(
        content=content,
        version=__version__,
        emulation=content.get("emulation"),
        cards=_cards(content),
        bars=_bars(content),
        most_macs=max((layer["macs"] for layer in content["layers"]), default=0),
        rectangles=_rectangles(blocks, content["arena_bytes"], len(content["layers"])),
        chart_width=_CHART_WIDTH,
        chart_height=_CHART_HEIGHT,
    )


def _cards(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    cards = [
        ("SRAM for maps", size(content["arena_bytes"])),
        ("flash for weights", size(content["weight_bytes"])),
        ("multiply-accumulates", count(content["macs"])),
        (".tflite file", size(content["tflite"]["bytes"])),
    ]
    accuracy, emulation = content["accuracy"], content.get("emulation")
    if accuracy:
        cards.append(("top-1, int8", percent(accuracy["top1"])))
        if accuracy.get("float_top1") is not None:
            cards.append(("top-1, float", percent(accuracy["float_top1"])))
    if emulation:
        cards.append((f"instructions on {emulation['target']}", count(emulation["instructions"])))
    return cards


def _bars(content: Mapping[str, Any]) -> list[_Bar]:
    budget, emulation = content["budget"], content.get("emulation") or {}
    bars = []
    if budget["sram"] is not None:
        bars.append(_Bar("SRAM: maps", content["arena_bytes"], budget["sram"]))
    if budget["flash"] is not None:
        code = emulation.get("code_bytes")
        label = "flash: weights" if code is None else "flash: weights and code"
        bars.append(_Bar(label, content["weight_bytes"] + (code or 0), budget["flash"]))
    return bars


def _rectangles(blocks: Sequence[MemoryBlock], arena_bytes: int, layers: int) -> list[_Rectangle]:
    """Time from left to right, a column per layer and one each for input and output; address 0 at the bottom."""
    column = _CHART_WIDTH / (layers + 2)
    unit = _CHART_HEIGHT / max(arena_bytes, 1)
    rectangles = []
    for block in blocks:
        names = " = ".join(printable(name) for name in block.names)
        use = "working memory, " if block.scratch else ""
        width, height = (block.last - block.first + 1) * column, block.bytes * unit
        kind = "scratch" if block.scratch else "map"
        rectangles.append(
            _Rectangle(
                x=(block.first + 1) * column,
                y=_CHART_HEIGHT - (block.offset + block.bytes) * unit,
                width=width,
                height=height,
                label=_fitting(names, width) if height > 14 else "",
                title=f"{names}: {use}{size(block.bytes)} at {block.offset:,}",
                kind=kind,
            )
        )
    return rectangles


def _fitting(text: str, width: float) -> str:
    """The end of the text, as names differ there; "" where not even a few characters fit."""
    room = int(width / _LABEL_WIDTH) - 1
    if len(text) <= room:
        return text
    return f"…{text[1 - room :]}" if room >= 4 else ""

# SPDX-License-Identifier: Apache-2.0
"""networks.svg: instructions of mcukit and of other engines side by side, made from the content of networks.json."""

from __future__ import annotations

__all__ = ["render_picture"]

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.support.markdown import millions

_Fields = Mapping[str, Any]

_WIDTH = 860
_MARGIN = 16
_BARS_AT, _LONGEST = 300, 400
_BAR, _STEP, _TITLE = 16, 22, 30
_OWN, _EXACT, _WRONG = "#1f6feb", "#8b949e", "#e5b8b4"
_FONT = "font-family='system-ui, sans-serif'"


def render_picture(results: _Fields) -> str:
    """A group of bars for every network that other engines were measured on, each to a scale of its own."""
    networks = [network for network in results["networks"] if network["peers"]]
    head = f"Instructions of one inference, int8, {results['target']}"
    y, shapes = _MARGIN + 18, [_text(_MARGIN, _MARGIN + 14, head, "15", "600")]
    for network in networks:
        y += _TITLE
        shapes.append(_text(_MARGIN, y - 6, network["title"], "13", "600"))
        group = list(_bars(network))
        largest = max(instructions for _, instructions, _, _ in group)
        for label, instructions, colour, note in group:
            shapes += _bar(y, label, instructions, largest, colour, note)
            y += _STEP
    height = y + _MARGIN
    size = f"width='{_WIDTH}' height='{height}' viewBox='0 0 {_WIDTH} {height}'"
    title = f"<title>{escape(head)}</title>"
    # A ground of its own, so that the text can be read on dark pages too.
    ground = f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>"
    return "\n".join(
        [f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img'>", title, ground, *shapes, "</svg>\n"]
    )


def _bars(network: _Fields) -> Iterator[tuple[str, int, str, str]]:
    """(label, instructions, colour, note) of each engine, mcukit first."""
    own = network["instructions"]
    yield "mcukit", own, _OWN, ""
    for peer in sorted(network["peers"], key=lambda peer: peer["instructions"]):
        wrong = peer["output"] != "exact"
        note = f"{peer['instructions'] / own:.1f}x" + (", wrong output" if wrong else "")
        yield peer["name"], peer["instructions"], _WRONG if wrong else _EXACT, note


def _bar(y: int, label: str, instructions: int, largest: int, colour: str, note: str) -> Sequence[str]:
    length = max(1, round(_LONGEST * instructions / largest))
    value = f"{millions(instructions)}  {note}".rstrip()
    return (
        _text(_BARS_AT - 10, y + 13, label, "12", "400", "end"),
        f"<rect x='{_BARS_AT}' y='{y}' width='{length}' height='{_BAR}' fill='{colour}'/>",
        _text(_BARS_AT + length + 8, y + 13, value, "12", "400"),
    )


def _text(x: int, y: int, text: str, size: str, weight: str, anchor: str = "start") -> str:
    style = f"{_FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='#1f2328'"
    return f"<text x='{x}' y='{y}' {style}>{escape(text)}</text>"

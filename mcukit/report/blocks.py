# SPDX-License-Identifier: Apache-2.0
"""What a report consists of before anyone decides how it looks: lines, facts and tables."""

from __future__ import annotations

__all__ = ["Block", "Column", "Facts", "Line", "Table", "Tone", "plain_text", "printable"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "title", "good", "bad", "warning", "faint"]


@dataclass(frozen=True)
class Line:
    """One line of text. tone: what it means; sinks that have colours show it."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Facts:
    """Names with values, one below the other."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Column:
    """right: for numbers, so that digits of the same weight stand below each other.

    whole: never broken over two lines, as numbers never are.
    """

    title: str
    right: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Table:
    """rows: one text per column each."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Line | Facts | Table

_WIDEST = 60
"""Columns are padded to this width at most: a longer name moves its own row, not the whole table."""


def printable(text: str) -> str:
    """The text with control characters as escapes: names come from files, and a terminal obeys what it gets."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain_text(blocks: Sequence[Block]) -> str:
    """Blocks as text without colours or frames, columns aligned, every line ended."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Line):
            lines.append(printable(block.text))
        elif isinstance(block, Facts):
            lines += _aligned([(f"  {name}", value) for name, value in block.pairs], (False, False))
        else:
            header = tuple(column.title for column in block.columns)
            lines += _aligned([header, *block.rows], tuple(column.right for column in block.columns))
    return "".join(f"{line}\n" for line in lines)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines

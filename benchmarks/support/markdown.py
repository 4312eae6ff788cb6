# SPDX-License-Identifier: Apache-2.0
"""Tables of Markdown whose columns line up in a terminal too, and numbers as the tables show them."""

from __future__ import annotations

__all__ = ["ABSENT", "millions", "per_mac", "table", "times"]

from collections.abc import Sequence

ABSENT = "-"
"""Stands for what was not measured or does not apply."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """A table whose first `texts` columns are text and all others numbers, aligned to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    rules = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = [_line(row, widths, texts) for row in (heads, rules, *rows)]
    return "\n".join(lines)


def millions(value: int) -> str:
    """Three decimals below ten million, two above: 2.660 M, 24.10 M."""
    return f"{value / 1e6:.3f} M" if value < 10_000_000 else f"{value / 1e6:.2f} M"


def per_mac(instructions: int, macs: int) -> str:
    return f"{instructions / macs:.2f}" if macs else ABSENT


def times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def _line(cells: Sequence[str], widths: Sequence[int], texts: int) -> str:
    padded = [
        cell.ljust(width) if column < texts else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"

# SPDX-License-Identifier: Apache-2.0
"""Bits in words, from the content of report.json. Builds of earlier versions don't speak of them: all have 8."""

from __future__ import annotations

__all__ = ["bitops_text", "bits_title", "has_bits", "map_bits", "precision_facts", "weight_bits"]

from collections.abc import Mapping
from typing import Any

from mcukit.report.units import ABSENT, count

_Content = Mapping[str, Any]


def has_bits(content: _Content) -> bool:
    """Whether there is something to say: a map or weights of fewer than 8 bits, or tiles of two forms."""
    precision = content.get("precision")
    return precision is not None and (precision["branches"] is not None or _widths(precision) != [8])


def bits_title(content: _Content) -> str:
    """Such as "int8" or "8, 4 and 2 bits"."""
    if not has_bits(content):
        return "int8"
    widths = [str(bits) for bits in _widths(content["precision"])]
    return f"{', '.join(widths[:-1])} and {widths[-1]} bits" if len(widths) > 1 else f"{widths[0]} bits"


def map_bits(layer: _Content) -> str:
    """Of what the layer computes: "8", or "8 / 4" for wide and narrow tiles that differ."""
    narrow = layer.get("narrow")
    own = layer["output_bits"]
    return str(own) if narrow is None or narrow["output_bits"] == own else f"{own} / {narrow['output_bits']}"


def weight_bits(layer: _Content) -> str:
    return ABSENT if layer["weight_bits"] is None else str(layer["weight_bits"])


def bitops_text(content: _Content) -> str:
    """How many, beside a network of 8 bits that computes nothing twice."""
    reduction = content["precision"]["bitops_reduction"]
    times, beside = (reduction, "fewer") if reduction >= 1 else (1 / reduction, "more")
    return f"{count(content['bitops'])}, {times:.2f} times {beside} than int8"


def precision_facts(content: _Content) -> list[tuple[str, str]]:
    """Bits of maps and weights, BitOPs, and how tiles are chosen."""
    precision = content["precision"]
    branches = precision["branches"]
    facts = [("maps", _counted(precision["maps"]))]
    if branches:
        facts.append(("maps of narrow tiles", _counted(branches["maps"])))
    if any(precision["weights"].values()):
        reduction = precision["weight_reduction"]
        fewer = f"; {reduction:.2f} times fewer bits than int8" if reduction > 1 else ""
        facts.append(("layers with weights", f"{_counted(precision['weights'])}{fewer}"))
    facts.append(("BitOPs", f"{bitops_text(content)} without work done twice"))
    if branches:
        facts.append(("tiles of two forms", _chosen(branches)))
    return facts


def _widths(precision: _Content) -> list[int]:
    """All that occur, widest first."""
    branches = precision["branches"]
    tables = [precision["maps"], precision["weights"], *([branches["maps"]] if branches else [])]
    return sorted({int(bits) for table in tables for bits, number in table.items() if number}, reverse=True)


def _counted(table: Mapping[str, int]) -> str:
    """Such as "14 with 8 bits, 3 with 4"."""
    parts = [f"{count(number)} with {bits}" for bits, number in table.items() if number]
    return ", ".join([f"{parts[0]} bits", *parts[1:]])


def _chosen(branches: _Content) -> str:
    rows, columns = branches["grid"]
    grid, number = f"{rows} x {columns}", rows * columns
    if branches["test"] is None:
        return f"{grid}, {count(len(branches['wide']))} of {count(number)} wide by position"
    test = f"{grid}, wide where too many values lie below {branches['test']['low']} or above {branches['test']['high']}"
    if branches["wide_from"] == "assumed":
        return f"{test}; BitOPs count all as wide"
    mean = sum(tile["wide_share"] for tile in branches["tiles"]) / number
    return f"{test}; BitOPs count {mean:.1f} % as wide, as in the calibration images"

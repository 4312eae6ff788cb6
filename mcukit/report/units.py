# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them."""

from __future__ import annotations

__all__ = [
    "ABSENT",
    "count",
    "kibibytes",
    "layer_numbers",
    "percent",
    "ratio",
    "shape",
    "short_name",
    "size",
    "thousands",
]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcukit.quantities import counted

if TYPE_CHECKING:
    from mcukit.quantized.integer import IntegerModel

ABSENT = "-"
"""Stands for what was not measured or does not apply."""

_KIB = 1024
_LONGEST_NAME = 36


def count(value: int | None) -> str:
    """With thousands apart: 7,489,644."""
    return ABSENT if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Bytes, and KiB where that is shorter: "53,248 bytes (52.0 KiB)"."""
    if value is None:
        return ABSENT
    if value < _KIB:
        return counted(value, "byte")
    if value < _KIB * _KIB:
        return f"{value:,} bytes ({value / _KIB:.1f} KiB)"
    return f"{value:,} bytes ({value / _KIB / _KIB:.2f} MiB)"


def kibibytes(value: int) -> str:
    """Bytes for the axis of a picture: "512 B", "96 KiB"."""
    if value < _KIB:
        return f"{value} B"
    return f"{value / _KIB:g} KiB" if value < _KIB * _KIB else f"{value / _KIB / _KIB:g} MiB"


def thousands(value: int) -> str:
    """Bytes in few letters, as multiples of 1024: "600", "2.5K", "96K", "1.2M"."""
    if value < _KIB:
        return str(value)
    number, unit = (value / _KIB, "K") if value < 1000 * _KIB else (value / _KIB / _KIB, "M")
    return f"{number:.1f}{unit}" if number < 9.95 else f"{number:.0f}{unit}"


def percent(value: float | None) -> str:
    """Of a number that is 0 to 100 already: "85.75 %"."""
    return ABSENT if value is None else f"{value:.2f} %"


def ratio(value: float | None) -> str:
    """A number of any magnitude with three significant digits."""
    return ABSENT if value is None else f"{value:.3g}"


def shape(dimensions: Sequence[int]) -> str:
    """1x96x96x3."""
    return "x".join(map(str, dimensions))


def short_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A layer's name for a table. Converters write names of hundreds of letters: their ends tell layers apart."""
    return name if len(name) <= longest else "..." + name[3 - longest :]


def layer_numbers(model: IntegerModel) -> dict[str, int]:
    """The number of each layer, by name: 1 is the first."""
    return {layer.name: number for number, layer in enumerate(model.layers, start=1)}

# SPDX-License-Identifier: Apache-2.0
"""Sizes and counts as people write them: 64K bytes, 40M instructions."""

from __future__ import annotations

__all__ = ["LARGEST_QUANTITY", "counted", "parse_count", "parse_size"]

import re
from decimal import Decimal

LARGEST_QUANTITY = 1 << 48

_SIZE = re.compile(r"([0-9]{1,12})\s*([KM]?)(i?B)?", re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "K": 1024, "M": 1024 * 1024}
_COUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([KMG]?)", re.IGNORECASE)
_COUNT_FACTORS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def counted(number: int, noun: str) -> str:
    """So many things: "1 layer", "1,024 bytes". noun: one of them, whose plural ends in s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def parse_size(text: str) -> int | None:
    """Bytes: "262144", "256K" and "1M" in units of 1024; None for what is no size above zero."""
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * _SIZE_FACTORS[match[2].upper()] if match else 0
    return size or None


def parse_count(text: str) -> int | None:
    """A number of things: "40000000", "40M", "1.5G" in units of 1000; None for what is no whole number above zero."""
    match = _COUNT.fullmatch(text.strip())
    count = Decimal(match[1]) * _COUNT_FACTORS[match[2].upper()] if match else Decimal(0)
    return int(count) if count and count == int(count) else None

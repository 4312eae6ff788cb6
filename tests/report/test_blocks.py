# SPDX-License-Identifier: Apache-2.0
"""Reports as plain text, and numbers as people read them."""

from __future__ import annotations

import pytest

from mcukit.report import units
from mcukit.report.blocks import Column, Facts, Line, Table, plain_text, printable


def test_plain_text_aligns_columns() -> None:
    table = Table((Column("layer"), Column("bytes", right=True)), (("conv", "1,024"), ("a longer name", "7")))
    assert plain_text([Line("net"), Facts((("a", "1"), ("bcd", "2"))), table]) == (
        "net\n  a    1\n  bcd  2\nlayer          bytes\nconv           1,024\na longer name      7\n"
    )


def test_a_long_name_moves_only_its_own_row() -> None:
    table = Table((Column("layer"), Column("MACs", right=True)), (("x" * 1000, "5"), ("y", "6")))
    assert [len(line) for line in plain_text([table]).splitlines()] == [66, 1006, 66]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe/1:0", "größe/1:0"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r", "a\\nb\\r"),
        ("\u202egnp", "\\u202egnp"),
        ("\udc80", "\\udc80"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1,024 bytes (1.0 KiB)"),
        (53248, "53,248 bytes (52.0 KiB)"),
        (1048576, "1,048,576 bytes (1.00 MiB)"),
    ],
)
def test_sizes(value: int | None, text: str) -> None:
    assert units.size(value) == text


def test_other_numbers() -> None:
    assert units.count(7489644) == "7,489,644"
    assert units.percent(85.75) == "85.75 %"
    assert units.ratio(0.012345) == "0.0123"
    assert units.shape((1, 96, 96, 3)) == "1x96x96x3"
    assert [units.count(None), units.percent(None), units.ratio(None)] == ["-"] * 3

# SPDX-License-Identifier: Apache-2.0
"""Sizes, counts and budgets as people write them, on the command line and in mcukit.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.budgets import Budgets, CheckSettings, read_check
from mcukit.calibration.settings import read_settings
from mcukit.errors import McukitError
from mcukit.quantities import counted, parse_count, parse_size

FULL = """
board = "nucleo_f446re"
[check]
max_sram = "64K"
max_flash = 300_000
max_instructions = "31.5M"
max_stack = 512
max_arena = "40 KiB"
max_weights = "1M"
max_l2r = 0.05
on = "cortex-m4"
"""


@pytest.mark.parametrize(
    ("text", "size"),
    [("262144", 262_144), ("64K", 65_536), ("64k", 65_536), (" 2 MiB ", 2 << 20), ("1KB", 1024), ("7B", 7)]
    + [(text, None) for text in ("", "0", "0K", "-1", "1.5K", "1e3", "64KK", "K", "nan", "1" * 13, "\u0661")],
)
def test_sizes_are_in_units_of_1024(text: str, size: int | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "count"),
    [("40000000", 40_000_000), ("40M", 40_000_000), ("1.5g", 1_500_000_000), (" 2 k ", 2000), ("0.001K", 1)]
    + [
        (text, None)
        for text in ("", "0", "0.0M", "-1M", "1.5", "0.0001K", "1e6", "1KB", "M", "inf", "1" * 13, "\u0661")
    ],
)
def test_counts_are_whole_numbers_in_units_of_1000(text: str, count: int | None) -> None:
    assert parse_count(text) == count


def test_a_table_says_all_budgets(tmp_path: Path) -> None:
    path = tmp_path / "mcukit.toml"
    path.write_text(FULL)
    expected = CheckSettings(Budgets(65_536, 300_000, 31_500_000, 512, 40_960, 1 << 20, 0.05), "cortex-m4")
    assert read_check(path) == expected
    # The same file says how the model is quantized.
    assert read_settings(path).check == expected
    assert read_settings(path).board == "nucleo_f446re"


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("max_sram = 0", ["max_sram"]),
        ("max_sram = -1", ["max_sram"]),
        ("max_sram = true", ["max_sram"]),
        ("max_sram = 1.5", ["max_sram"]),
        ("max_sram = 0xffff_ffff_ffff_ffff", ["max_sram"]),
        ('max_sram = "lots"', ["max_sram"]),
        ('max_flash = "1.5K"', ["max_flash"]),
        ("max_flash = [1]", ["max_flash"]),
        ('max_instructions = "40MB"', ["max_instructions"]),
        ("max_l2r = nan", ["max_l2r"]),
        ("max_l2r = inf", ["max_l2r"]),
        ("max_l2r = 0.0", ["max_l2r"]),
        ('max_l2r = "0.05"', ["max_l2r"]),
        ("on = 4", ["on"]),
        ("sram = 1", ["sram"]),
        ('max_sram = ""\nmax_stack = {}\nmax_heap = 1', ["max_heap", "max_sram", "max_stack"]),
    ],
)
def test_what_is_no_budget_is_named_with_its_place(line: str, places: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mcukit.toml"
    path.write_text(f"[check]\n{line}\n")
    for read in (read_check, read_settings):
        with pytest.raises(McukitError) as caught:
            read(path)
        assert [problem.where for problem in caught.value.problems] == [f"{path}: check.{place}" for place in places]
        assert all(problem.code == "invalid-file" and problem.hint for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["", "board = 1", "check = 3", "[[check]]\nmax_sram = 1"])
def test_a_file_without_the_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mcukit.toml"
    path.write_text(text)
    with pytest.raises(McukitError, match="check"):
        read_check(path)
    with pytest.raises(McukitError):
        read_check(tmp_path / "missing.toml")


def test_budgets_of_one_place_go_before_those_of_another() -> None:
    file, options = Budgets(sram=1, flash=2, l2r=0.5), Budgets(sram=3, stack=4)
    assert file.merged(options) == Budgets(sram=3, flash=2, stack=4, l2r=0.5)
    assert Budgets().given == {}


def test_numbers_that_are_no_budgets_are_all_named() -> None:
    with pytest.raises(McukitError) as caught:
        Budgets(sram=0, flash=-1, instructions=True, stack=1.5, arena=1, l2r=float("nan")).require_valid()  # type: ignore[arg-type]
    places = [problem.where for problem in caught.value.problems]
    assert places == ["--max-sram", "--max-flash", "--max-instructions", "--max-stack", "--max-l2r"]
    assert caught.value.exit_code == 2


def test_things_are_counted_in_words() -> None:
    assert [counted(number, "byte") for number in (0, 1, 2, 1024)] == ["0 bytes", "1 byte", "2 bytes", "1,024 bytes"]

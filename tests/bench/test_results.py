# SPDX-License-Identifier: Apache-2.0
"""Measurements as files and as text, and two of them beside each other."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mcukit
from mcukit.bench.client import Banner
from mcukit.bench.compare import Change, compare
from mcukit.bench.result import BenchResult, Clock, Estimate, LayerTicks, Ticks, clock_of
from mcukit.bench.result_file import check_writable, load_bench, result_csv, result_fields, save_bench, save_csv
from mcukit.errors import McukitError
from mcukit.report.blocks import plain_text
from mcukit.report.board_views import bench_view, comparison_view

BANNER = Banner("1", "nucleo_f446re", "net", "ab" * 32, "portable", "GCC 12.2.1", "-O2", "1024")
LAYERS = (
    LayerTicks("first, with\na comma", "conv2d", 5000, Ticks(36_000, 35_990, 36_100), 30_000),
    LayerTicks("last", "softmax", 0, Ticks(900, 900, 900), None),
)
BOARD = BenchResult(
    "net", "/dev/ttyACM0", BANNER, Clock.BOARD, 180_000_000, 5, 1, Ticks(37_800, 37_700, 37_900), LAYERS,
    Estimate("cortex-m4", "arm-none-eabi-gcc 12.2.1", 31_500),
)  # fmt: skip
EMULATED = replace(BOARD, clock=Clock.INSTRUCTIONS, ticks_per_second=25_000_000, port="emulated:cortex-m7")
UNKNOWN = replace(BOARD, clock=Clock.UNKNOWN)


@pytest.mark.parametrize("result", [BOARD, EMULATED, UNKNOWN, replace(BOARD, estimate=None, layers=LAYERS[1:])])
def test_what_is_saved_is_read_again(result: BenchResult, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    save_bench(result, file)
    assert load_bench(file) == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_figures_are_those_of_the_ticks() -> None:
    assert BOARD.microseconds(37_800) == 210.0
    assert BOARD.instructions(37_800) is None
    assert BOARD.share(900) == 900 / 37_800
    assert BOARD.between_layers == 900
    assert EMULATED.instructions(900) == 36_000
    for result in (EMULATED, UNKNOWN):
        assert result.microseconds(900) is None
        assert result_fields(result)["layers"][0]["microseconds"] is None


def test_medians_are_ticks_that_occurred() -> None:
    assert Ticks.of([9, 1, 4, 3]) == Ticks(3, 1, 9)
    assert Ticks.of([7]) == Ticks(7, 7, 7)


@pytest.mark.parametrize(
    ("port", "board", "clock"),
    [
        ("/dev/ttyACM0", "nucleo_f446re", Clock.BOARD),
        ("socket://127.0.0.1:5555", "nucleo_f446re", Clock.BOARD),
        ("emulated:stm32f405", "genericSTM32F405RG", Clock.INSTRUCTIONS),
        ("socket://127.0.0.1:5555", "emulated-cortex-m7", Clock.UNKNOWN),
        ("emulated:host", "emulated-host", Clock.COMPUTER),
    ],
)
def test_only_a_boards_ticks_are_its_time(port: str, board: str, clock: Clock) -> None:
    assert clock_of(port, replace(BANNER, board=board)) is clock


def test_a_table_for_spreadsheets() -> None:
    rows = list(csv.DictReader(result_csv(BOARD).splitlines(keepends=True)))
    assert [row["layer"] for row in rows] == ["first, with\na comma", "last", "(between layers)", "(inference)"]
    assert (rows[0]["ticks_median"], rows[0]["microseconds"], rows[0]["instructions"]) == ("36000", "200.000", "")
    assert (rows[3]["share"], rows[3]["emulator_instructions"]) == ("1.000000", "31500")
    emulated = list(csv.DictReader(result_csv(EMULATED).splitlines(keepends=True)))
    assert (emulated[1]["microseconds"], emulated[1]["instructions"]) == ("", "36000")


def test_latency_is_said_of_boards_alone() -> None:
    text = plain_text(bench_view(BOARD))
    assert "210.0 us on this board" in text
    assert "ticks per instruction  1.20" in text
    for result in (EMULATED, UNKNOWN):
        text = plain_text(bench_view(result))
        assert " us" not in text
        assert "latency of a board" in text or "neither time nor instructions" in text


def test_a_comparison_shows_changes_and_what_else_is_different() -> None:
    faster = replace(LAYERS[0], ticks=Ticks(18_000, 18_000, 18_000))
    added = LayerTicks("new", "relu", 0, Ticks(180, 180, 180), None)
    banner = replace(BANNER, kernels="dsp", compiler_flags="-O3")
    after = replace(BOARD, layers=(faster, added), banner=banner, total=Ticks(18_900, 18_900, 18_900))
    comparison = compare(BOARD, after)
    assert comparison.unit == "microseconds"
    assert (comparison.total, comparison.total.percent) == (Change("total", 210.0, 105.0), -50.0)
    assert [(change.name, change.percent) for change in comparison.layers] == [
        (LAYERS[0].name, -50.0), ("last", None), ("new", None),
    ]  # fmt: skip
    assert {(c.name, c.before, c.after) for c in comparison.configuration} == {
        ("kernels", "portable", "dsp"),
        ("compiler flags", "-O2", "-O3"),
    }
    text = plain_text(comparison_view(comparison))
    assert "-50.0 %" in text
    assert "dsp" in text
    assert "same firmware" in plain_text(comparison_view(compare(BOARD, BOARD)))


def test_layers_of_different_networks_are_not_compared() -> None:
    wider = replace(LAYERS[0], macs=2 * LAYERS[0].macs)
    unlike = (
        replace(BOARD, layers=(wider, LAYERS[1])),
        replace(BOARD, layers=(replace(LAYERS[0], name="other"),)),
        replace(BOARD, model="other", layers=LAYERS[:1]),
    )
    for other in unlike:
        comparison = compare(BOARD, other)
        assert (comparison.same_network, comparison.layers) == (False, ())
        assert comparison.total.before == comparison.total.after == 210.0
        assert "the networks differ: only their totals" in plain_text(comparison_view(comparison))
    renamed = compare(BOARD, replace(BOARD, model="other"))
    assert (renamed.same_network, len(renamed.layers)) == (True, len(LAYERS))


def test_instructions_compare_with_instructions_alone() -> None:
    assert compare(EMULATED, replace(EMULATED, ticks_per_second=1_000_000_000)).unit == "instructions"
    assert compare(UNKNOWN, UNKNOWN).unit == "ticks"
    assert compare(BOARD, replace(BOARD, clock=Clock.COMPUTER)).unit == "microseconds"
    for before, after in ((BOARD, EMULATED), (UNKNOWN, BOARD), (UNKNOWN, replace(UNKNOWN, ticks_per_second=1))):
        with pytest.raises(McukitError) as caught:
            compare(before, after)
        assert caught.value.problems[0].code == "not-comparable"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "report", "schema": 2, "layers": None}, ["kind"]),
        ({"schema": 2}, ["schema"]),
        ({"clock": "sundial", "runs": 0}, ["clock", "runs"]),
        ({"ticks_per_second": 0}, ["ticks_per_second"]),
        ({"layers": [{"name": "a"}]}, ["layers[0].emulator_instructions", "layers[0].macs", "layers[0].op"]),
        (
            {"total": {"ticks": {"median": -1, "minimum": 1.5, "maximum": 1}}},
            ["total.ticks.median", "total.ticks.minimum"],
        ),
        ({"estimate": {"target": "cortex-m4"}}, ["estimate.compiler", "estimate.instructions"]),
        ({"banner": []}, ["banner"]),
    ],
)
def test_a_file_that_is_no_measurement_is_refused(change: dict[str, Any], named: list[str], tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps({"schema": 1, **result_fields(BOARD), **change}))
    with pytest.raises(McukitError) as caught:
        load_bench(file)
    places = [problem.where for problem in caught.value.problems]
    assert all(f"{file}: {place}" in places for place in named)
    assert named != ["kind"] or len(places) == 1, "of another file nothing else is told"


@pytest.mark.parametrize("write", [save_bench, save_csv])
def test_what_can_not_be_written_is_one_error(write: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "file", tmp_path / "folder"):
        for call in (lambda path=path: write(BOARD, path), lambda path=path: check_writable(path)):
            with pytest.raises(McukitError) as caught:
                call()
            assert caught.value.problems[0].code == "unwritable-output"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    check_writable(tmp_path / "file")


def test_the_public_names_are_these() -> None:
    assert (mcukit.compare, mcukit.load_bench, mcukit.save_bench) == (compare, load_bench, save_bench)

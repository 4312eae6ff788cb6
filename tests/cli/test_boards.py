# SPDX-License-Identifier: Apache-2.0
"""The commands that talk to boards: their JSON, their text and their exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

PORT = "emulated:host"
BANNER_FIELDS = {
    "protocol",
    "board",
    "model",
    "model_hash",
    "kernels",
    "layer_kernels",
    "compiler",
    "compiler_flags",
    "arena_bytes",
}
RESULT_FIELDS = {
    "kind",
    "port",
    "banner",
    "clock",
    "ticks_per_second",
    "runs",
    "warm_up",
    "total",
    "layers",
    "estimate",
}
LAYER_FIELDS = {"name", "op", "macs", "ticks", "microseconds", "instructions", "share", "emulator_instructions"}


def parsed(result: Result, exit_code: int = 0) -> dict[str, Any]:
    """stdout, which must be one JSON document and nothing else."""
    assert result.exit_code == exit_code, result.output
    fields = json.loads(result.stdout)
    assert fields["schema"] == 1
    assert isinstance(fields, dict)
    return fields


@pytest.fixture(scope="module")
def flashed(run: Run, build: Path) -> Path:
    fields = parsed(run("flash", build, "--port", PORT, "--json"))
    assert fields["banner"].keys() == BANNER_FIELDS
    assert (fields["port"], fields["environment"], fields["keeps_input"]) == (PORT, None, True)
    assert fields["image"] == str(build / "firmware" / ".emulated" / "host.elf")
    assert (fields["input_bytes"], fields["output_bytes"]) == (192, 6)
    return build


def test_flash_shows_what_runs_and_what_comes_next(run: Run, flashed: Path) -> None:
    result = run("flash", flashed, "--port", PORT)
    assert (result.exit_code, result.stderr) == (0, "")
    for part in ("runs this build", "kernels   portable", "GCC", "-O2", f"mcukit bench {flashed} --port {PORT}"):
        assert part in result.stdout


def test_verify_compares_outputs_or_all_layers(run: Run, flashed: Path) -> None:
    fields = parsed(run("verify", flashed, "--port", PORT, "--inputs", 2, "--json"))
    assert (fields["equal"], fields["layers_compared"], fields["target"]) == (True, 0, PORT)
    assert fields["banner"].keys() == BANNER_FIELDS
    deeper = parsed(run("verify", flashed, "--port", PORT, "--inputs", 2, "--per-layer", "--json"))
    on_host = parsed(run("verify", flashed, "--on", "host", "--json"))
    assert deeper["layers_compared"] == on_host["layers_compared"] > 0
    assert on_host["banner"] is None
    assert "outputs alone" in run("verify", flashed, "--port", PORT, "--inputs", 2).stdout


def test_bench_measures_saves_and_compares(run: Run, flashed: Path, data: Path, tmp_path: Path) -> None:
    before, after, table = (tmp_path / name for name in ("before.json", "after.json", "table.csv"))
    words = ("bench", flashed, "--port", PORT, "--runs", 3, "--warm-up", 1)
    fields = parsed(run(*words, "--out", before, "--csv", table, "--json"))
    assert fields.keys() >= RESULT_FIELDS
    assert all(layer.keys() == LAYER_FIELDS for layer in fields["layers"])
    assert (fields["runs"], fields["warm_up"], fields["clock"]) == (3, 1, "computer")
    written = json.loads(before.read_text())
    assert {name: fields[name] for name in written} == written
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["layer"] for row in rows[:-2]] == [layer["name"] for layer in fields["layers"]]
    text = run(*words, "--input", data, "--out", after)
    assert text.exit_code == 0
    assert "no latency of a board" in text.stdout
    compared = parsed(run("bench", "--compare", before, after, "--json"))
    assert (compared["unit"], compared["configuration"]) == ("microseconds", [])
    assert [change["name"] for change in compared["layers"]] == [layer["name"] for layer in fields["layers"]]
    assert "same firmware" in run("bench", "--compare", before, after).stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (("verify", "BUILD", "--on", "host", "--port", PORT), 2, "wrong-option"),
        (("verify", "BUILD", "--port", "emulated:z80"), 2, "wrong-port"),
        (("verify", "BUILD", "--port", "socket://nowhere"), 2, "wrong-port"),
        (("verify", "BUILD", "--port", ""), 2, "wrong-port"),
        (("verify", "BUILD", "--port", "BUILD/manifest.json"), 2, "wrong-port"),
        (("flash", "BUILD", "--port", "BUILD"), 2, "wrong-port"),
        (("verify", "BUILD", "--port", "/dev/no-such-port"), 1, "board-unreachable"),
        (("verify", "BUILD", "--port", "emulated:riscv32"), 1, "not-flashed"),
        (("verify", "BUILD", "--port", PORT, "--baud", "0"), 2, "usage"),
        (("verify", "BUILD", "--port", PORT, "--baud", "99999999999"), 2, "usage"),
        (("bench", "BUILD", "--port", PORT, "--out", "NONE", "--csv", "NONE"), 2, "wrong-option"),
        (("flash", "BUILD", "--port", PORT, "--environment", "none"), 2, "unknown-environment"),
        (("flash", "BUILD", "--port", PORT, "--upload-port", "/dev/ttyUSB0"), 2, "wrong-option"),
        (("flash", "BUILD", "--port", "emulated:"), 2, "wrong-port"),
        (("flash", "NONE", "--port", PORT), 1, "invalid-build"),
        (("bench",), 2, "usage"),
        (("bench", "BUILD", "--port", PORT, "--runs", "0"), 2, "usage"),
        (("bench", "BUILD", "--port", PORT, "--out", "NONE/result.json"), 1, "unwritable-output"),
        (("bench", "BUILD", "--port", PORT, "--csv", "BUILD"), 1, "unwritable-output"),
        (("bench", "BUILD", "--port", PORT, "--input", "NONE"), 1, "unreadable-data"),
        (("bench", "BUILD", "--compare", "NONE", "NONE"), 2, "usage"),
        (("bench", "--compare", "NONE", "NONE"), 1, "unreadable-file"),
        (("bench", "--compare", "BUILD/manifest.json", "NONE"), 1, "invalid-file"),
    ],
)
def test_what_is_wrong_is_one_message(
    run: Run, flashed: Path, tmp_path: Path, words: tuple[str, ...], exit_code: int, code: str
) -> None:
    places = {"BUILD": str(flashed), "NONE": str(tmp_path / "none")}
    given = [
        next((word.replace(name, path) for name, path in places.items() if word.startswith(name)), word)
        for word in words
    ]
    fields = parsed(run(*given, "--json"), exit_code)
    assert fields["error"]["code"] == code
    assert all(problem["hint"] for problem in fields["errors"])
    text = run(*given)
    assert (text.exit_code, text.stdout) == (exit_code, "")
    assert text.stderr.startswith("error: ")

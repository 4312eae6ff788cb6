# SPDX-License-Identifier: Apache-2.0
"""`mcukit export` and `mcukit check`: their JSON, their text and their exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mcukit.workflow.check import workflow_text
from mcukit.workflow.export import EXPORT_FORMATS

Run = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("to", EXPORT_FORMATS)
def test_an_export_says_where_it_is(to: str, run: Run, build: Path, tmp_path: Path) -> None:
    path = tmp_path / ("net.zip" if to == "arduino" else "net")
    result = run("export", build, "--to", to, "-o", path, "--json")
    assert result.exit_code == 0
    fields = json.loads(result.stdout)
    assert fields["schema"] == 1
    assert (fields["format"], fields["path"], fields["name"]) == (to, str(path), "mcukit_tiny")
    assert fields["header"] == "mcukit_tiny.h"
    assert {"manifest.json", "README.md", "LICENSE"} <= set(fields["files"])
    assert fields["calibrated"] is True
    text = run("export", build, "--to", to, "-o", path)
    assert text.exit_code == 0
    assert f"written to {path}\n" in text.stdout
    assert "mcukit_tiny.h" in text.stdout


def test_exports_that_fail_say_why(run: Run, build: Path, tmp_path: Path) -> None:
    for words, code, exit_code in (
        ((build, "--to", "zephyr"), "unknown-format", 2),
        ((build, "--to", "arduino", "-o", tmp_path / "net"), "wrong-option", 2),
        ((tmp_path / "none", "--to", "cmake"), "invalid-build", 1),
        ((build,), "usage", 2),
        ((build, "--to", "cmake", "-o", build), "unwritable-output", 1),
    ):
        result = run("export", *words, "--json")
        assert result.exit_code == exit_code
        assert json.loads(result.stdout)["error"]["code"] == code
    assert list(tmp_path.iterdir()) == []


def test_a_check_says_what_is_kept_and_what_is_not(run: Run, build: Path, here: Path) -> None:
    kept = run("check", build, "--max-arena", "64K", "--max-weights", "1M", "--json")
    assert kept.exit_code == 0
    fields = json.loads(kept.stdout)
    assert (fields["passed"], fields["target"], fields["calibrated"]) == (True, None, True)
    assert [budget["name"] for budget in fields["budgets"]] == ["arena", "weights"]
    broken = run("check", build, "--max-arena", "10", "--max-weights", "20", "--max-l2r", "100", "--json")
    assert broken.exit_code == 1
    fields = json.loads(broken.stdout)
    assert fields["passed"] is False
    for budget, passed in zip(fields["budgets"], (False, False, True), strict=True):
        assert budget["passed"] is passed
        assert budget["excess"] == (0 if passed else budget["used"] - budget["limit"])
        assert set(budget["contributors"][0]) == {"name", "value"}
    text = run("check", build, "--max-arena", "10", "--max-weights", "1M")
    assert text.exit_code == 1
    assert "TOO MUCH" in text.stdout
    assert "1 of 2 budgets exceeded\n" in text.stdout
    assert "too much\n" in text.stdout
    assert "within all budgets" in run("check", build, "--max-arena", "64K").stdout


def test_budgets_stand_in_a_file(run: Run, build: Path, here: Path) -> None:
    settings = here / "models" / "mcukit.toml"
    settings.parent.mkdir()
    settings.write_text("[check]\nmax_arena = 10\nmax_weights = '1M'\n")
    found = run("check", build, "--budgets", settings, "--json")
    assert found.exit_code == 1
    assert [budget["limit"] for budget in json.loads(found.stdout)["budgets"]] == [10, 1 << 20]
    over = run("check", build, "--budgets", settings, "--max-arena", "64K", "--json")
    assert over.exit_code == 0
    # Without an option it is the file of the current folder, if that has budgets.
    shutil.copy(settings, here / "mcukit.toml")
    assert run("check", build).exit_code == 1
    (here / "mcukit.toml").write_text("board = 'nucleo_f446re'\n")
    assert json.loads(run("check", build, "--json").stdout)["error"]["code"] == "no-budget"
    (here / "mcukit.toml").write_text("[check]\non = 'z80'\nmax_sram = 1\n")
    error = json.loads(run("check", build, "--json").stdout)["error"]
    assert (error["code"], error["where"]) == ("unknown-target", "on in [check] of mcukit.toml")
    assert json.loads(run("check", build, "--on", "z80", "--json").stdout)["error"]["where"] == "--on"
    (here / "mcukit.toml").write_text("[check]\nmax_sram = 1\nmax_flash = 1\n")
    message = json.loads(run("check", build, "--max-flash", "2", "--json").stdout)["error"]["message"]
    assert message.startswith("max_sram in [check] of mcukit.toml, --max-flash: ")


def test_checks_that_fail_say_why(run: Run, build: Path, here: Path) -> None:
    for words, code, exit_code in (
        ((build,), "no-budget", 2),
        ((), "usage", 2),
        ((build, "--max-sram", "0"), "usage", 2),
        ((build, "--max-sram", "-4K"), "usage", 2),
        ((build, "--max-instructions", "many"), "usage", 2),
        ((build, "--max-l2r", "nan"), "wrong-option", 2),
        ((build, "--max-sram", "64K"), "not-measured", 1),
        ((build, "--budgets", here / "none.toml"), "unreadable-file", 1),
        ((here / "none", "--max-sram", "64K"), "invalid-build", 1),
    ):
        result = run("check", *words, "--json")
        assert result.exit_code == exit_code, words
        assert json.loads(result.stdout)["error"]["code"] == code


def test_the_workflow_is_printed_as_it_is(run: Run) -> None:
    assert run("check", "--workflow").stdout == workflow_text()
    assert json.loads(run("check", "--workflow", "--json").stdout)["workflow"] == workflow_text()

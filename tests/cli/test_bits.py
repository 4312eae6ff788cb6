# SPDX-License-Identifier: Apache-2.0
"""Options of bits: what contradicts itself is one message, and numbers reach what they are for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mcukit.cli.bits import bits_from
from mcukit.precision.vdpc import VdpcOptions
from mcukit.workflow.bits import BitsOptions

Run = Callable[..., Result]

AUTO = ("--bits", "auto")
VDQS = (*AUTO, "--search", "vdqs")

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "a search without auto": (("--search", "vdqs"), "--search: all maps and weights have 8 bits"),
    "an error without auto": (("--max-error", "0.1"), "--max-error: all maps and weights have 8 bits"),
    "zero without auto": (("--tau", "0"), "--tau: all maps and weights have 8 bits"),
    "a flag without auto": (("--bits", "8", "--layer-stage"), "--layer-stage: all maps and weights have 8 bits"),
    "vdpc of another search": ((*AUTO, "--vdpc", "off"), "--vdpc: it is no option of the search 'sensitivity'"),
    "lambda of another search": ((*AUTO, "--lambda", "0"), "--lambda: it is no option of the search 'sensitivity'"),
    "BitOPs of another search": ((*VDQS, "--bitops", "2"), "--bitops: it is no option of the search 'vdqs'"),
    "no error at all": ((*AUTO, "--max-error", "0"), "--max-error: 0 is no error"),
    "an endless error": ((*AUTO, "--max-error", "inf"), "--max-error: inf is no error"),
    "an error that is no number": ((*AUTO, "--max-error", "nan"), "--max-error: nan is no error"),
    "more BitOPs": ((*AUTO, "--bitops", "0"), "--bitops: 0 times fewer"),
    "endlessly fewer BitOPs": ((*AUTO, "--bitops", "inf"), "--bitops: inf times fewer"),
    "too large a share": ((*VDQS, "--lambda", "1.5"), "--lambda: 1.5 is no share"),
    "phi": ((*VDQS, "--phi", "1"), "--phi: 1 is no share of ordinary values"),
    "tau": ((*VDQS, "--tau", "-1"), "--tau: more images than the share -1"),
    "no outliers": ((*VDQS, "--min-outliers", "0"), "--min-outliers: 0 outliers are no patch"),
    "constants of no classes": ((*VDQS, "--vdpc", "off", "--phi", "0.9"), "--phi: patches are not classified"),
    "a schedule of its own": ((*VDQS, "--plan", "stream"), "--plan: the search 'vdqs' forms patches"),
    "rows pushed into patches": ((*VDQS, "--push-rows"), "--push-rows: the search 'vdqs' forms patches"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_options_that_contradict_each_other(
    words: tuple[str, ...], message: str, run: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "built"
    result = run("quantize", model, "--calibration", data, "-o", folder, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("hint:") == 1
    assert result.stdout == ""
    assert not folder.exists()


def test_bits_are_found_and_reported_as_json(run: Run, model: Path, data: Path, build: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    words = ("--calibration", data, "--scale", "1/255", "-o", folder, *AUTO, "--max-error", "1", "--json")
    result = run("quantize", model, *words)
    assert result.exit_code == 0, result.stderr
    fields = json.loads(result.stdout)
    assert fields["bitops"] < json.loads((build / "report.json").read_text())["bitops"]
    assert {layer["weight_bits"] for layer in fields["layers"]} & {2, 4}
    assert json.loads((folder / "manifest.json").read_text())["options"]["bits"]["max_error"] == 1.0
    assert run("verify", folder, "--on", "host").exit_code == 0


def test_numbers_of_zero_are_numbers() -> None:
    found = bits_from(bits="auto", search="vdqs", entropy_weight=0.0, tau=0.0, phi=None, layer_stage=False)
    assert found is not None
    assert found.quantmcu.entropy_weight == 0.0
    assert found.quantmcu.classes == VdpcOptions(tau=0.0)
    assert not found.quantmcu.layer_stage


def test_options_reach_the_search() -> None:
    assert bits_from(bits="8", search=None, layer_stage=False) is None
    assert bits_from(bits="auto", search=None) == BitsOptions()
    assert bits_from(bits="auto", max_error=0.5, bitops=2.0) == BitsOptions(max_error=0.5, bitops=2.0)
    found = bits_from(bits="auto", search="vdqs", vdpc="runtime", min_outliers=3, layer_stage=True)
    assert found is not None
    assert (found.search, found.quantmcu.vdpc, found.quantmcu.layer_stage) == ("vdqs", "runtime", True)
    assert found.quantmcu.classes.min_outliers == 3


def test_choices_are_written_as_plans(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "choices"

    result = run("explore", model, "--calibration", data, "--max-error", "0.02", "-o", folder, "--json")

    assert result.exit_code == 0, result.output
    fields = json.loads(result.stdout)
    assert len(fields["plans"]) == len(fields["choices"]) > 1
    assert all(json.loads(Path(file).read_text())["stages"] for file in fields["plans"])

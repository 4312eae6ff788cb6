# SPDX-License-Identifier: Apache-2.0
"""Builds against budgets: what is counted, what is named, and what can't be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcukit.budgets import Budgets
from mcukit.emulation.targets import EMULATED_CORES
from mcukit.errors import McukitError
from mcukit.workflow.build import Build
from mcukit.workflow.check import check_budgets
from mcukit.workflow.code_size import CodeSize
from mcukit.workflow.emulate import emulate
from mcukit.workflow.quantize import QuantizeOptions, quantize

GENEROUS = Budgets(1 << 20, 1 << 20, 1 << 30, 1 << 20, 1 << 20, 1 << 20, 1000.0)


@pytest.fixture(scope="module")
def measured(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Calibrated on images, and counted on the core of a board."""
    folder = tmp_path_factory.mktemp("measured")
    np.save(folder / "x.npy", np.random.default_rng(0).random((8, 6, 6, 2), np.float32))
    options = QuantizeOptions(folder / "x.npy", board="nucleo_f446re")
    build = quantize(small_model, folder / "build", options)
    assert build.report["emulation"] is not None, "compiler and emulator are installed where tests run"
    return build


def problems(function: Callable[[], object], exit_code: int = 1) -> list[tuple[str, str, str]]:
    with pytest.raises(McukitError) as caught:
        function()
    assert caught.value.exit_code == exit_code
    assert all(problem.hint for problem in caught.value.problems)
    return [(problem.code, problem.message, problem.hint) for problem in caught.value.problems]


def with_report(build: Build, **changes: Any) -> Build:
    return replace(build, report={**build.report, **changes})


def test_all_figures_are_those_of_the_emulator(measured: Build) -> None:
    quantization = measured.model.input.quantization
    assert quantization is not None
    run = emulate(measured, "cortex-m4", np.full((1, 72), quantization.zero_point, np.int8))
    assert None not in {run.stack_bytes, run.code_bytes, run.weight_bytes, run.instructions}
    found = check_budgets(measured, GENEROUS)
    assert found.passed
    assert found.target == "cortex-m4"
    assert {result.name: result.used for result in found.results} == {
        "sram": run.arena_bytes + (run.static_ram_bytes or 0) + (run.stack_bytes or 0),
        "flash": (run.code_bytes or 0) + (run.weight_bytes or 0),
        "instructions": run.instructions,
        "stack": run.stack_bytes,
        "arena": measured.plan.arena_bytes,
        "weights": measured.model.weight_bytes,
        "l2r": max(
            layer["error"]["l2r"] for layer in measured.report["layers"]
            if layer["output"] in measured.model.graph.outputs
        ),
    }  # fmt: skip
    # Counted now it is the same, and another core's figures are others.
    assert check_budgets(measured, GENEROUS, "cortex-m4") == found
    other = check_budgets(measured, GENEROUS, "riscv32")
    assert other.target == "riscv32"
    assert other.results != found.results


def test_a_budget_is_kept_to_the_last_byte(measured: Build) -> None:
    used = {result.name: result.used for result in check_budgets(measured, GENEROUS).results}
    assert check_budgets(measured, Budgets(**used)).passed  # type: ignore[arg-type]
    less = {name: value - 1 if isinstance(value, int) else value * 0.999 for name, value in used.items()}
    found = check_budgets(measured, Budgets(**less))  # type: ignore[arg-type]
    assert [result.name for result in found.results if not result.passed] == list(used)
    assert {result.excess for result in found.results if result.name != "l2r"} == {1}
    one = check_budgets(measured, replace(GENEROUS, flash=used["flash"] - 1))  # type: ignore[type-var]
    assert not one.passed
    assert [result.name for result in one.results if not result.passed] == ["flash"]
    assert all(result.excess == 0 for result in one.results if result.passed)


def test_what_takes_most_is_named_first(measured: Build) -> None:
    parts = {result.name: result.contributors for result in check_budgets(measured, GENEROUS).results}
    layers = sorted(measured.report["layers"], key=lambda layer: -(layer["instructions"] or 0))
    assert [(part.name, part.value) for part in parts["instructions"]] == [
        (f"layer '{layer['name']}'", layer["instructions"]) for layer in layers[:3]
    ]
    assert parts["flash"][0].name == "code"
    assert parts["weights"][0].value == max(layer["weight_bytes"] for layer in layers)
    assert "stack" in [part.name for part in parts["sram"]]
    assert all(part.name.startswith("map '") for part in parts["arena"])
    assert sum(part.value for part in parts["arena"]) <= measured.plan.arena_bytes
    assert parts["stack"] == ()
    for found in parts.values():
        assert [part.value for part in found] == sorted((part.value for part in found), reverse=True)


def test_without_an_emulator_a_budget_is_an_error_and_never_kept(small: Build, measured: Build) -> None:
    asked = Budgets(sram=1 << 30, instructions=1 << 40)
    ((code, message, hint),) = problems(lambda: check_budgets(small, asked))
    assert (code, "--on cortex-m4" in hint) == ("not-measured", True)
    assert message.startswith("--max-sram, --max-instructions: ")
    core = {**measured.report["core"], "name": "xtensa-lx6", "emulation_target": None}
    ((code, message, hint),) = problems(lambda: check_budgets(with_report(measured, core=core, emulation=None), asked))
    assert code == "not-measured"
    assert "nothing emulates xtensa-lx6" in message
    assert "--max-arena and --max-weights" in hint
    ((code, message, hint),) = problems(lambda: check_budgets(with_report(measured, emulation=None), asked))
    assert code == "not-measured"
    assert "missing" in message
    assert "mcukit emulate BUILD --on cortex-m4" in hint
    # What needs no emulator is compared all the same.
    found = check_budgets(small, Budgets(arena=1 << 20, weights=1))
    assert found.target is None
    assert [result.passed for result in found.results] == [True, False]


def test_an_error_that_was_not_measured_is_one_of_all_problems(small: Build, measured: Build) -> None:
    found = problems(lambda: check_budgets(small, Budgets(flash=1 << 20, l2r=1.0)))
    assert [code for code, *_ in found] == ["not-measured"] * 2
    assert "synthetic" in found[0][1]
    layers = [{**layer, "error": None} for layer in measured.report["layers"]]
    ((_, message, _),) = problems(lambda: check_budgets(with_report(measured, layers=layers), Budgets(l2r=1.0)))
    assert "no float network" in message


@pytest.mark.parametrize(
    ("on", "code"), [("host", "unsuitable-target"), ("tflm", "unsuitable-target"), ("z80", "unknown-target")]
)
def test_only_emulated_cores_count(on: str, code: str, small: Build) -> None:
    ((found, _, hint),) = problems(lambda: check_budgets(small, GENEROUS, on), exit_code=2)
    assert found == code
    assert hint == f"choose one of {', '.join(EMULATED_CORES)}"


def test_a_core_that_nothing_emulates_has_another_way_out_than_the_host(small: Build) -> None:
    ((code, _, hint),) = problems(lambda: check_budgets(small, Budgets(sram=1), "esp32dev"), exit_code=2)
    assert code == "not-emulated"
    assert "host" not in hint


def test_no_budget_and_no_number_are_wrong_use(small: Build) -> None:
    assert problems(lambda: check_budgets(small, Budgets()), exit_code=2)[0][0] == "no-budget"
    assert problems(lambda: check_budgets(small, Budgets(sram=0)), exit_code=2)[0][0] == "wrong-option"


@pytest.mark.parametrize("emulation", [{}, [], "x", {"target": "cortex-m4", "instructions": "many"}])
def test_a_report_that_makes_no_sense_is_refused(emulation: object, measured: Build) -> None:
    build = with_report(measured, emulation=emulation or {"target": None})
    ((code, *_),) = problems(lambda: check_budgets(build, Budgets(sram=1 << 20)))
    assert code == "invalid-build"


def test_searches_count_the_code_that_is_measured_at_the_end(measured: Build) -> None:
    emulation = measured.report["emulation"]
    needed = emulation["weight_bytes"] + emulation["code_bytes"]
    target = emulation["target"]
    assert CodeSize(needed, target).fits(measured.model, measured.plan)
    assert not CodeSize(needed - 1, target).fits(measured.model, measured.plan)
    assert not CodeSize(needed, None).counts(measured.model), "without a core nothing is compiled"
    assert not CodeSize(1 << 30, target).counts(measured.model), "with so much flash neither"

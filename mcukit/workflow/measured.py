# SPDX-License-Identifier: Apache-2.0
"""What an emulator tells of a build: from its report, or counted now."""

from __future__ import annotations

__all__ = ["Measured", "measured_figures"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.emulation.targets import EMULATED_CORES
from mcukit.errors import McukitError, Problem
from mcukit.workflow.build import Build
from mcukit.workflow.emulate import emulate
from mcukit.workflow.execute import check_executor

_UNMEASURED_HINT = (
    "--max-arena and --max-weights are known on every core; --on CORE counts on another one of your choice"
)


@dataclass(frozen=True)
class Measured:
    """What an emulator tells of a build. layers: instructions by name."""

    target: str
    instructions: int
    stack_bytes: int
    code_bytes: int
    weight_bytes: int
    static_ram_bytes: int
    layers: Mapping[str, int]


def measured_figures(
    build: Build, on: str | None, budgets: str, place: str = "--on"
) -> tuple[Measured | None, list[Problem]]:
    """What an emulator told when the build was made, or tells now, on the core `on`; or why it does not.

    budgets: what asks for it, and place: where `on` was given, for messages.
    Raises McukitError "unknown-target", "not-emulated" or "unsuitable-target".
    """
    if on is not None:
        _check_core(on, place)
        if on not in EMULATED_CORES:
            message = f"'{on}' counts neither instructions nor bytes of a device"
            hint = f"choose one of {', '.join(EMULATED_CORES)}"
            raise McukitError("unsuitable-target", message, where=place, hint=hint, exit_code=2)
        return _counted(build, on), []
    problem = _not_measured(build, budgets)
    if problem:
        return None, [problem]
    emulation = build.report["emulation"]
    if _chooses_by_value(build):
        return _counted(build, emulation["target"]), []
    layers = {
        form["name"]: form["instructions"]
        for layer in build.report["layers"]
        for form in (layer, layer.get("narrow"))
        if form and form["instructions"]
    }
    return Measured(
        emulation["target"],
        int(emulation["instructions"]),
        int(emulation["stack_bytes"]),
        int(emulation["code_bytes"]),
        int(emulation["weight_bytes"]),
        int(emulation["static_ram_bytes"]),
        layers,
    ), []


def _check_core(on: str, place: str) -> None:
    """As check_executor, whose way out for cores that nothing emulates is the host: there nothing is counted."""
    try:
        check_executor(on, EMULATED_CORES)
    except McukitError as error:
        problem = error.problems[0]
        hint = _UNMEASURED_HINT if problem.code == "not-emulated" else problem.hint
        raise McukitError(problem.code, problem.message, where=place, hint=hint, exit_code=2) from error


def _not_measured(build: Build, budgets: str) -> Problem | None:
    """Why the report tells nothing of these budgets; None if it does."""
    core, place = build.report["core"], str(build.folder)
    if build.report["emulation"]:
        return None
    if core is None:
        message = f"{budgets}: the build is for no board, so that nothing was counted"
        hint = "give a core, such as --on cortex-m4, or quantize with --board ID"
    elif core["emulation_target"] is None:
        message = f"{budgets}: nothing emulates {core['name']}"
        hint = _UNMEASURED_HINT
    else:
        message = f"{budgets}: a compiler or an emulator was missing when the build was made"
        target = core["emulation_target"]
        hint = f"`mcukit emulate BUILD --on {target}` says what to install; then give --on {target}, or quantize again"
    return Problem("not-measured", message, place, hint)


def _counted(build: Build, target: str) -> Measured:
    """Counts now: the most of all inputs that could be the most expensive one."""
    runs = [emulate(build, target, inputs, all_outputs=False) for inputs in _inputs(build)]
    worst = max(runs, key=lambda run: run.instructions or 0)
    return Measured(
        target,
        _known(worst.instructions),
        max(_known(run.stack_bytes) for run in runs),
        _known(worst.code_bytes),
        _known(worst.weight_bytes),
        _known(worst.static_ram_bytes),
        {layer.name: layer.instructions for layer in worst.layers},
    )


def _inputs(build: Build) -> list[npt.NDArray[np.int8]]:
    """Zero points; where tiles look for outliers, also an input of nothing else."""
    tensor, branches = build.model.input, build.model.branches
    if tensor.quantization is None:
        raise ValueError("the input is not quantized")
    values = [tensor.quantization.zero_point]
    if branches and branches.test:
        values.append(-128 if branches.test.low > -128 else 127)
    return [np.full((1, tensor.elements), value, np.int8) for value in values]


def _chooses_by_value(build: Build) -> bool:
    return build.model.branches is not None and build.model.branches.test is not None


def _known(value: int | None) -> int:
    if value is None:
        raise ValueError("only emulated targets count all of this")
    return value

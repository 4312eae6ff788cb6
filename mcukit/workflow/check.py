# SPDX-License-Identifier: Apache-2.0
"""Compares what a build takes of a device with budgets."""

from __future__ import annotations

__all__ = ["BudgetCheck", "BudgetResult", "Contributor", "check_budgets", "workflow_text"]

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from mcukit.budgets import Budgets
from mcukit.errors import McukitError, Problem
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.peak import find_peak
from mcukit.workflow.build import Build
from mcukit.workflow.measured import Measured, measured_figures

_MEASURED = ("sram", "flash", "instructions", "stack")
"""Budgets of what only an emulator tells."""

_MOST_CONTRIBUTORS = 3


@dataclass(frozen=True)
class Contributor:
    """A part of what a budget counts: a layer, a map, code. value: in the budget's unit."""

    name: str
    value: float


@dataclass(frozen=True)
class BudgetResult:
    """One budget. name: as in Budgets. used, limit: bytes, instructions, or a ratio. contributors: largest first."""

    name: str
    used: float
    limit: float
    contributors: tuple[Contributor, ...]

    @property
    def passed(self) -> bool:
        return self.used <= self.limit

    @property
    def excess(self) -> float:
        """What is too much; 0 where nothing is."""
        return max(self.used - self.limit, 0)


@dataclass(frozen=True)
class BudgetCheck:
    """target: where instructions, stack and code were counted; None if no budget asked for that."""

    target: str | None
    results: tuple[BudgetResult, ...]

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)


def check_budgets(
    build: Build, budgets: Budgets, on: str | None = None, *, places: Mapping[str, str] | None = None
) -> BudgetCheck:
    """Compares a build with budgets; see Budgets for what each of them counts.

    on: an emulated core on which instructions, stack and code are counted now; by default they are those of the report,
    counted on the core of the build's board. Either way the input is one of zero points. Where tiles choose their
    precision by its values, it is the more expensive one of an input without outliers and one of nothing else.
    places: where budgets and "on" were given, by name, for messages: by default in options of the command line.

    Raises McukitError "no-budget", "wrong-option" for budgets that are none, or "not-measured" with all that the build
    does not tell: a budget that can't be compared is never kept.
    """
    wanted = budgets.given
    if not wanted:
        hint = "give one, such as --max-sram 64K, or write a table [check] into mcukit.toml"
        raise McukitError("no-budget", "there is no budget to compare with", hint=hint, exit_code=2)
    budgets.require_valid()
    try:
        return _compared(build, budgets, on, _OPTIONS | dict(places or {}))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise McukitError(
            "invalid-build",
            f"this is no usable build folder: 'report.json' makes no sense ({error!r})",
            where=str(build.folder),
            hint="run `mcukit quantize` again",
        ) from error


def _compared(build: Build, budgets: Budgets, on: str | None, places: Mapping[str, str]) -> BudgetCheck:
    wanted = budgets.given
    measured = None
    problems = [] if budgets.l2r is None else _error_problems(build, places["l2r"])
    asked = [name for name in _MEASURED if name in wanted]
    if asked:
        measured, missing = measured_figures(build, on, ", ".join(places[name] for name in asked), places["on"])
        problems += missing
    if problems:
        raise McukitError.collect(problems)
    figures = {name: figure(build) for name, figure in _FIGURES.items() if name in wanted}
    if measured:
        figures |= _figures_of(build, measured)
    results = []
    for name, limit in wanted.items():
        used, parts = figures[name]
        results.append(BudgetResult(name, used, limit, _largest(parts)))
    return BudgetCheck(measured.target if measured else None, tuple(results))


def workflow_text() -> str:
    """A workflow for GitHub Actions that quantizes, verifies and checks a model of a repository: YAML to be copied."""
    return resources.files("mcukit.workflow").joinpath("ci", "mcukit.yml").read_text(encoding="utf-8")


_OPTIONS = {name: f"--max-{name}" for name in Budgets.names()} | {"on": "--on"}

_Figure = tuple[float, list[Contributor]]


def _arena(build: Build) -> _Figure:
    return build.plan.arena_bytes, _live_buffers(build)


def _weights(build: Build) -> _Figure:
    return build.model.weight_bytes, _layer_weights(build)


def _error(build: Build) -> _Figure:
    """The largest of all outputs, and the maps with the largest errors."""
    errors = {layer["output"]: layer["error"] for layer in build.report["layers"]}
    worst = max(float(errors[tensor.name]["l2r"]) for tensor in build.model.outputs)
    parts = [Contributor(_of_layer(layer["name"]), layer["error"]["l2r"]) for layer in build.report["layers"]]
    return worst, parts


_FIGURES: dict[str, Callable[[Build], _Figure]] = {"arena": _arena, "weights": _weights, "l2r": _error}
"""Those that need no emulator."""


def _figures_of(build: Build, measured: Measured) -> dict[str, _Figure]:
    stack = Contributor("stack", measured.stack_bytes)
    static = Contributor("other static RAM", measured.static_ram_bytes)
    code = Contributor("code", measured.code_bytes)
    layers = [Contributor(_of_layer(name), count) for name, count in measured.layers.items()]
    ram = build.plan.arena_bytes + measured.stack_bytes + measured.static_ram_bytes
    return {
        "sram": (ram, [*_live_buffers(build), stack, static]),
        "flash": (measured.code_bytes + measured.weight_bytes, [code, *_layer_weights(build)]),
        "instructions": (measured.instructions, layers),
        "stack": (measured.stack_bytes, []),
    }


def _live_buffers(build: Build) -> list[Contributor]:
    """What lies in the arenas at the moment at which most bytes are in use."""
    return [Contributor(f"map '{name}'", size) for name, size in find_peak(Dataflow(build.model), build.plan).live]


def _layer_weights(build: Build) -> list[Contributor]:
    return [Contributor(_of_layer(layer["name"]), layer["weight_bytes"]) for layer in build.report["layers"]]


def _of_layer(name: str) -> str:
    return f"layer '{name}'"


def _largest(parts: Iterable[Contributor]) -> tuple[Contributor, ...]:
    ordered = sorted((part for part in parts if part.value), key=lambda part: -part.value)
    return tuple(ordered[:_MOST_CONTRIBUTORS])


def _error_problems(build: Build, asked: str) -> list[Problem]:
    """Why the error of a build says nothing. asked: where its budget was given."""
    place = str(build.folder)
    if not build.calibrated:
        hint = "quantize with --calibration DATA"
        message = f"{asked}: the ranges come from synthetic images, so that the error on real ones is unknown"
        return [Problem("not-measured", message, place, hint)]
    errors = {layer["output"]: layer["error"] for layer in build.report["layers"]}
    if all(errors.get(tensor.name) for tensor in build.model.outputs):
        return []
    message = f"{asked}: there was no float network to compare with"
    return [Problem("not-measured", message, place, "quantize the float network that this one was made from")]

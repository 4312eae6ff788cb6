# SPDX-License-Identifier: Apache-2.0
"""`mcukit check`: whether a build keeps to its budgets."""

from __future__ import annotations

__all__ = ["check"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import COUNT, PATH, SIZE, TARGETS_HELP, json_option, warn_if_uncalibrated
from mcukit.cli.output import Output
from mcukit.report.blocks import Line

if TYPE_CHECKING:
    from mcukit.budgets import CheckSettings
    from mcukit.workflow.check import BudgetCheck


@click.command()
@click.argument("build", type=PATH, required=False)
@click.option("--max-sram", "sram", type=SIZE, metavar="N", help="Arenas, other static RAM and stack, such as 64K.")
@click.option("--max-flash", "flash", type=SIZE, metavar="N", help="Weights, code and constants, such as 300K.")
@click.option("--max-instructions", "instructions", type=COUNT, metavar="N", help="Of one inference, such as 40M.")
@click.option("--max-stack", "stack", type=SIZE, metavar="N", help="The deepest stack of an inference.")
@click.option("--max-arena", "arena", type=SIZE, metavar="N", help="Maps and scratch memory alone.")
@click.option("--max-weights", "weights", type=SIZE, metavar="N", help="The network's constants alone.")
@click.option("--max-l2r", "l2r", type=float, metavar="E", help="Relative L2 error of the outputs, such as 0.05.")
@click.option("--on", metavar="TARGET", help=f"Count now, on {TARGETS_HELP.replace('host, ', '')}.")
@click.option(
    "--budgets", "settings", type=PATH, metavar="TOML",
    help="File with a table [check]. Default: mcukit.toml of the current folder, if it has one.",
)  # fmt: skip
@click.option("--workflow", is_flag=True, help="Print a workflow for GitHub Actions to copy, and nothing else.")
@json_option
def check(
    build: Path | None, on: str | None, settings: Path | None, workflow: bool, as_json: bool, **given: Any
) -> int:
    """Compares BUILD with budgets. Exits with 1 if one is exceeded.

    Options go before what the file says. What only an emulator can tell comes from BUILD's report, for its board's
    core; --on counts it anew.
    """
    from mcukit.workflow.check import workflow_text

    output = Output(as_json)
    if workflow:
        text = workflow_text()
        output.result({"workflow": text}, lambda: [Line(line) for line in text.splitlines()])
        return 0
    if build is None:
        raise click.UsageError("Missing argument 'BUILD'.")
    return _check(output, build, settings, given, on)


def _check(output: Output, folder: Path, file: Path | None, given: dict[str, Any], on: str | None) -> int:
    from mcukit.budgets import Budgets
    from mcukit.report.budgets import budget_view
    from mcukit.workflow.build import load_build
    from mcukit.workflow.check import check_budgets

    settings, file = _settings(file)
    loaded, options = load_build(folder), Budgets(**given)
    places = {name: f"max_{name} in [check] of {file}" for name in settings.budgets.given.keys() - options.given.keys()}
    if on is None and settings.on is not None:
        places["on"] = f"on in [check] of {file}"
    found = check_budgets(loaded, settings.budgets.merged(options), on or settings.on, places=places)
    warn_if_uncalibrated(output, loaded.calibrated)
    output.result({**_fields(found), "calibrated": loaded.calibrated}, lambda: budget_view(found))
    return 0 if found.passed else 1


def _settings(path: Path | None) -> tuple[CheckSettings, Path]:
    """The file that was given, or the current folder's; no budgets if there is none. And which file it is."""
    from mcukit.budgets import CheckSettings, read_check
    from mcukit.calibration.settings import SETTINGS_NAME
    from mcukit.toml_table import read_toml

    if path is not None:
        return read_check(path), path
    here = Path(SETTINGS_NAME)
    return read_check(here) if here.exists() and read_toml(here).has("check") else CheckSettings(), here


def _fields(found: BudgetCheck) -> dict[str, Any]:
    return {
        "target": found.target,
        "passed": found.passed,
        "budgets": [
            {
                "name": result.name,
                "used": result.used,
                "limit": result.limit,
                "excess": result.excess,
                "passed": result.passed,
                "contributors": [{"name": part.name, "value": part.value} for part in result.contributors],
            }
            for result in found.results
        ],
    }

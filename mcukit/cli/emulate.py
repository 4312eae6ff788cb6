# SPDX-License-Identifier: Apache-2.0
"""`mcukit emulate`: what a build computes and costs on a target."""

from __future__ import annotations

__all__ = ["emulate"]

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import PATH, json_option, on_option, warn_if_uncalibrated
from mcukit.cli.output import Output

if TYPE_CHECKING:
    from mcukit.workflow.emulate import Emulation


@click.command()
@click.argument("build", type=PATH)
@on_option("")
@click.option(
    "--board", metavar="ID|TOML",
    help="Run on this board's core, and estimate its cycles and time: see mcukit boards.",
)  # fmt: skip
@click.option(
    "--input", "source", type=PATH, metavar="NPY",
    help="Inputs as the build was calibrated on: .npy, .npz or images. Default: one of random bytes.",
)  # fmt: skip
@json_option
def emulate(build: Path, on: str | None, board: str | None, source: Path | None, as_json: bool) -> int:
    """Runs BUILD on TARGET: outputs, instructions per layer, SRAM, stack and flash.

    Instructions are counted exactly. Cycles of a BOARD are an estimate, from
    tables of timings and a model of its flash.
    """
    from mcukit.calibration.data import load_inputs
    from mcukit.graph.graph import map_shape
    from mcukit.report.terminal import emulation_view
    from mcukit.workflow.build import load_build
    from mcukit.workflow.emulate import emulate as run

    output = Output(as_json)
    if on is None and board is None:
        raise click.UsageError("Give --on TARGET or --board ID.")
    loaded = load_build(build)
    inputs = None
    if source is not None:
        inputs = loaded.quantize_inputs(load_inputs(source, map_shape(loaded.model.input.shape)).values)
    emulation = run(loaded, on, inputs, board=board)
    warn_if_uncalibrated(output, loaded.calibrated)
    fields = {**emulation_fields(emulation), "calibrated": loaded.calibrated}
    output.result(fields, lambda: emulation_view(emulation))
    return 0


def emulation_fields(emulation: Emulation) -> dict[str, Any]:
    """As JSON has them; what the target can't measure is null."""
    from mcukit.report.cycles import cycles_content

    return {
        "target": emulation.target,
        "outputs": emulation.outputs,
        "all_outputs": emulation.all_outputs,
        "instructions": emulation.instructions,
        "instruction_classes": emulation.instruction_classes,
        "arena_bytes": emulation.arena_bytes,
        "stack_bytes": emulation.stack_bytes,
        "code_bytes": emulation.code_bytes,
        "weight_bytes": emulation.weight_bytes,
        "static_ram_bytes": emulation.static_ram_bytes,
        "estimated_cycles": None if emulation.estimate is None else cycles_content(emulation.estimate),
        "layers": [asdict(layer) for layer in emulation.layers],
    }

# SPDX-License-Identifier: Apache-2.0
"""`mcukit flash`: a build's firmware onto a board."""

from __future__ import annotations

__all__ = ["flash"]

from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import PATH, json_option, port_option, warn_if_uncalibrated
from mcukit.cli.output import Output
from mcukit.report.blocks import Line

if TYPE_CHECKING:
    from mcukit.workflow.flash import Flashed


@click.command()
@click.argument("build", type=PATH)
@port_option
@click.option(
    "--environment", metavar="NAME",
    help="Of the build's firmware/platformio.ini. Default: the only one that `pio run` builds.",
)  # fmt: skip
@click.option("--upload-port", metavar="PORT", help="For PlatformIO, where boards are not flashed through --port.")
@json_option
def flash(build: Path, port: str | None, environment: str | None, upload_port: str | None, as_json: bool) -> int:
    """Builds the firmware of BUILD, uploads it, and waits until the board says that it runs it.

    PlatformIO does that for boards. Emulated ones need only a compiler, and keep what is flashed in
    BUILD/firmware/.emulated.
    """
    from mcukit.report.board_views import flash_view
    from mcukit.workflow.build import load_build
    from mcukit.workflow.flash import flash as run

    output = Output(as_json)
    loaded = load_build(build)
    with output.progress() as progress:
        flashed = run(loaded, port, environment=environment, upload_port=upload_port, progress=progress)
    warn_if_uncalibrated(output, loaded.calibrated)
    where = f"{quote(str(build))} --port {quote(flashed.port)}"
    following = [
        Line(""),
        Line("Next:"),
        Line(f"    proof of equal bytes  mcukit verify {where} --per-layer"),
        Line(f"    time of each layer    mcukit bench {where}"),
    ]
    fields = {**_fields(flashed), "calibrated": loaded.calibrated}
    output.result(fields, lambda: [*flash_view(flashed), *following])
    return 0


def _fields(flashed: Flashed) -> dict[str, Any]:
    board = flashed.board
    return {
        "port": flashed.port,
        "environment": flashed.environment,
        "image": None if flashed.image is None else str(flashed.image),
        "banner": asdict(board.banner),
        "layers": board.layers,
        "input_bytes": board.input_bytes,
        "output_bytes": board.output_bytes,
        "arena_bytes": board.arena_bytes,
        "ticks_per_second": board.ticks_per_second,
        "keeps_input": flashed.keeps_input,
    }

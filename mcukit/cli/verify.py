# SPDX-License-Identifier: Apache-2.0
"""`mcukit verify`: proof that a target computes the same bytes as the reference."""

from __future__ import annotations

__all__ = ["verify"]

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcukit.cli.options import PATH, baud_option, json_option, on_option, port_option, warn_if_uncalibrated
from mcukit.cli.output import Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcukit.workflow.build import Build

_INPUTS = 4


@click.command()
@click.argument("build", type=PATH)
@on_option(", plan (NumPy under the plan), or the interpreters tflm and litert")
@port_option
@baud_option
@click.option(
    "--per-layer", is_flag=True,
    help="Also compare what each layer of a board computed, as is always done with --on. Without, outputs alone.",
)  # fmt: skip
@click.option("--data", type=PATH, metavar="NPZ", help="Inputs to compare on: .npz, .npy or image folder.")
@click.option(
    "--inputs", "count", type=click.IntRange(1, 10_000), default=_INPUTS, show_default=True, metavar="N",
    help="How many inputs: the first of --data, or random bytes.",
)  # fmt: skip
@json_option
def verify(
    build: Path,
    *,
    on: str | None,
    port: str | None,
    baud: int | None,
    per_layer: bool,
    data: Path | None,
    count: int,
    as_json: bool,
) -> int:
    """Compares bytes of BUILD with the reference's: on TARGET those of all layers, on the board at PORT outputs or all.

    Exits with 1 if one differs; then the first layer that is wrong is named, and where.
    """
    from mcukit.report.terminal import verification_view
    from mcukit.workflow.build import load_build
    from mcukit.workflow.verify import verify as run

    output = Output(as_json)
    loaded = load_build(build)
    inputs = _inputs(loaded, data, count)
    with output.progress() as progress:
        verification = run(loaded, on, inputs, port=port, baud=baud, per_layer=per_layer, progress=progress)
    warn_if_uncalibrated(output, loaded.calibrated)
    difference = verification.first_difference
    fields = {
        "target": verification.target,
        "equal": verification.equal,
        "inputs": verification.inputs,
        "layers_compared": verification.layers_compared,
        "first_difference": None if difference is None else asdict(difference),
        "unreached": list(verification.unreached),
        "banner": None if verification.banner is None else asdict(verification.banner),
        "calibrated": loaded.calibrated,
    }
    output.result(fields, lambda: verification_view(verification))
    return 0 if verification.equal else 1


def _inputs(build: Build, data: Path | None, count: int) -> NDArray[np.int8]:
    """Input bytes (N, bytes): the first of the data, or random ones that are the same every time."""
    from mcukit.calibration.data import load_inputs
    from mcukit.graph.graph import map_shape
    from mcukit.workflow.verify import random_inputs

    if data is None:
        return random_inputs(build, count)
    values = load_inputs(data, map_shape(build.model.input.shape)).values
    return build.quantize_inputs(values[:count])

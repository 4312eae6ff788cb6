# SPDX-License-Identifier: Apache-2.0
"""`mcukit bench`: what each layer takes on a board, and what changed since another time."""

from __future__ import annotations

__all__ = ["bench"]

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcukit.cli.options import PATH, baud_option, json_option, port_option, warn_if_uncalibrated
from mcukit.cli.output import Output
from mcukit.errors import McukitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcukit.workflow.build import Build

_RUNS, _WARM_UP = 10, 2


@click.command()
@click.argument("build", type=PATH, required=False)
@port_option
@baud_option
@click.option("--runs", type=click.IntRange(1, 100_000), default=_RUNS, show_default=True, metavar="N",
              help="Inferences to take the median of.")  # fmt: skip
@click.option("--warm-up", type=click.IntRange(0, 100_000), default=_WARM_UP, show_default=True, metavar="N",
              help="Inferences before them, which do not count.")  # fmt: skip
@click.option("--input", "source", type=PATH, metavar="NPY",
              help="Inputs as the build was calibrated on: .npy, .npz or images. Default: random bytes.")  # fmt: skip
@click.option("--out", type=PATH, metavar="FILE", help="Also write the result as JSON, for --compare.")
@click.option("--csv", "table", type=PATH, metavar="FILE", help="Also write a row for each layer.")
@click.option("--compare", "compared", type=PATH, nargs=2, metavar="BEFORE AFTER",
              help="Compare two files that --out has written, in place of a measurement.")  # fmt: skip
@json_option
def bench(  # noqa: PLR0913 - one parameter per option
    build: Path | None,
    *,
    port: str | None,
    baud: int | None,
    runs: int,
    warm_up: int,
    source: Path | None,
    out: Path | None,
    table: Path | None,
    compared: tuple[Path, Path] | None,
    as_json: bool,
) -> int:
    """Measures each layer of BUILD on the board at PORT, which must run it: see mcukit flash.

    Only a board's ticks are a board's time. An emulated one counts instructions.
    """
    output = Output(as_json)
    if compared is not None:
        given = {"BUILD": build, "--port": port, "--baud": baud, "--input": source, "--out": out, "--csv": table}
        _refuse([name for name, value in given.items() if value is not None])
        return _compare(output, *compared)
    if build is None:
        hint = "give one to measure, or --compare BEFORE AFTER"
        raise McukitError("usage", "there is no build folder", where="mcukit bench", hint=hint, exit_code=2)
    from mcukit.bench.result_file import check_writable, result_fields, save_bench, save_csv
    from mcukit.report.board_views import bench_view
    from mcukit.workflow.benchmark import benchmark as run
    from mcukit.workflow.build import load_build

    if out is not None and table is not None and out.resolve() == table.resolve():
        message, hint = f"it is the file of --out, '{out}', too", "give another one"
        raise McukitError("wrong-option", message, where="--csv", hint=hint, exit_code=2)
    loaded = load_build(build)
    for file in (out, table):
        if file is not None:
            check_writable(file)
    inputs = None if source is None else _inputs(loaded, source)
    with output.progress() as progress:
        result = run(loaded, port, runs=runs, warm_up=warm_up, inputs=inputs, baud=baud, progress=progress)
    warn_if_uncalibrated(output, loaded.calibrated)
    if out is not None:
        save_bench(result, out)
    if table is not None:
        save_csv(result, table)
    output.result({**result_fields(result), "calibrated": loaded.calibrated}, lambda: bench_view(result))
    return 0


def _inputs(build: Build, source: Path) -> NDArray[np.int8]:
    """Input bytes (N, bytes)."""
    from mcukit.calibration.data import load_inputs
    from mcukit.graph.graph import map_shape

    return build.quantize_inputs(load_inputs(source, map_shape(build.model.input.shape)).values)


def _compare(output: Output, before: Path, after: Path) -> int:
    from mcukit.bench.compare import compare
    from mcukit.bench.result_file import load_bench
    from mcukit.report.board_views import comparison_view

    comparison = compare(load_bench(before), load_bench(after))
    fields = {
        "unit": comparison.unit,
        "same_network": comparison.same_network,
        "total": {**asdict(comparison.total), "percent": comparison.total.percent},
        "layers": [{**asdict(change), "percent": change.percent} for change in comparison.layers],
        "configuration": [asdict(change) for change in comparison.configuration],
    }
    output.result(fields, lambda: comparison_view(comparison))
    return 0


def _refuse(given: list[str]) -> None:
    if given:
        hint = "measure first, with --out, and compare the two files then"
        message = f"nothing is measured, so that {given[0]} has no meaning"
        raise McukitError("usage", message, where="--compare", hint=hint, exit_code=2)

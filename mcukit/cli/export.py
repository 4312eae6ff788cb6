# SPDX-License-Identifier: Apache-2.0
"""`mcukit export`: a build as a package for another build system."""

from __future__ import annotations

__all__ = ["export"]

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from mcukit.cli.options import PATH, json_option, warn_if_uncalibrated
from mcukit.cli.output import Output
from mcukit.report.blocks import Block, Facts, Line

if TYPE_CHECKING:
    from mcukit.workflow.export import Export


@click.command()
@click.argument("build", type=PATH)
@click.option("--to", required=True, metavar="FORMAT", help="arduino, esp-idf, esp-idf-tflm or cmake.")
@click.option(
    "-o", "--output", type=PATH, metavar="PATH",
    help="A folder, or a file ending with .zip. Default: export/BUILD/FORMAT/mcukit_NAME beside the folder BUILD.",
)  # fmt: skip
@json_option
def export(build: Path, to: str, output: Path | None, as_json: bool) -> int:
    """Writes BUILD as an Arduino library, an ESP-IDF component or a CMake project.

    Each has an example that checks on the device that it computes the right bytes. esp-idf-tflm runs the .tflite file
    with Espressif's TensorFlow Lite Micro; all others run the C files of BUILD.
    """
    from mcukit.workflow.build import load_build
    from mcukit.workflow.export import export_build

    sink = Output(as_json)
    loaded = load_build(build)
    written = export_build(loaded, to, output)
    warn_if_uncalibrated(sink, loaded.calibrated)
    fields = {
        "format": written.format,
        "path": str(written.path),
        "name": written.name,
        "header": written.header,
        "files": written.files,
        "checksum": written.checksum,
        "calibrated": loaded.calibrated,
    }
    sink.result(fields, lambda: _view(written))
    return 0


def _view(written: Export) -> list[Block]:
    path = quote(str(written.path))
    steps = {
        "arduino": (
            ("install", f"Sketch > Include Library > Add .ZIP Library, or arduino-cli lib install --zip-path {path}"),
            ("try it", f"File > Examples > {written.name} > Inference"),
        ),
        "cmake": (
            ("in CMakeLists.txt", f"add_subdirectory({written.name})"),
            ("link to", f"mcukit::{written.name.removeprefix('mcukit_')}"),
            ("try it here", f"cmake -S {path}/example -B example && cmake --build example"),
        ),
    }
    component = (
        ("copy to", f"components/{written.name}"),
        ("try it", f"idf.py -C {path}/examples/inference set-target esp32s3 flash monitor"),
    )
    facts = (*steps.get(written.format, component), ("include", f'"{written.header}"'))
    return [Line(f"written to {written.path}", "good"), Facts(facts)]

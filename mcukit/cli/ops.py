# SPDX-License-Identifier: Apache-2.0
"""`mcukit ops`: which operators are supported, read from the code."""

from __future__ import annotations

__all__ = ["ops"]

from dataclasses import asdict

import click

from mcukit.cli.options import json_option
from mcukit.cli.output import Output
from mcukit.report.blocks import Block, Column, Line, Table
from mcukit.report.units import ABSENT


@click.command()
@json_option
def ops(as_json: bool) -> int:
    """Lists the ONNX and TFLite operators that are supported, and the C kernels that compute them."""
    from mcukit.emulation.targets import TARGETS
    from mcukit.report.support import support_table

    # What computes first, then what importers resolve.
    table = sorted(support_table(), key=lambda row: (not row.names, row.names))
    targets = list(TARGETS)
    columns = (Column("operator"), Column("ONNX"), Column("TFLite"), Column("C kernel, int8"))

    def view() -> list[Block]:
        rows = tuple((_words(row.names), _words(row.onnx), _words(row.tflite), _words(row.kernels)) for row in table)
        footer = f"Every kernel is C99 and runs on all targets: {', '.join(targets)}."
        absent = f"{ABSENT} as operator: it becomes other operators, or nothing; as kernel: it costs nothing."
        return [Table(columns, rows), Line(""), Line(footer), Line(absent, "faint")]

    Output(as_json).result({"operators": [asdict(row) for row in table], "targets": targets}, view)
    return 0


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(names) or ABSENT

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
    columns = (Column("operator"), Column("ONNX"), Column("TFLite"), Column("C kernel, int8"), Column("in sets"))

    def view() -> list[Block]:
        rows = tuple(
            tuple(_words(names) for names in (row.names, row.onnx, row.tflite, row.kernels, row.sets)) for row in table
        )
        footer = f"Every kernel is C99 and runs on all targets: {', '.join(targets)}."
        sets = "Sets of kernels (--kernels) without a kernel of their own for an operator take that of the set before."
        absent = f"{ABSENT} as operator: it becomes other operators, or nothing; as kernel: it costs nothing."
        return [Table(columns, rows), Line(""), Line(footer), Line(sets), Line(absent, "faint")]

    Output(as_json).result({"operators": [asdict(row) for row in table], "targets": targets}, view)
    return 0


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(names) or ABSENT

# SPDX-License-Identifier: Apache-2.0
"""The table of supported operators follows the code."""

from __future__ import annotations

from mcukit.importers.onnx_views import VIEWS
from mcukit.ops.operator import ONNX_IMPORTERS, TFLITE_IMPORTERS
from mcukit.report.support import support_table
from mcukit.resources import firmware_dir


def test_every_importer_is_listed_once() -> None:
    table = support_table()
    onnx = [name for row in table for name in row.onnx]
    tflite = [name for row in table for name in row.tflite]
    assert sorted(onnx) == sorted({*ONNX_IMPORTERS, *VIEWS})
    assert sorted(tflite) == sorted(builtin.name for builtin in TFLITE_IMPORTERS)


def test_every_kernel_exists() -> None:
    kernels = {kernel for row in support_table() for kernel in row.kernels}
    sources = firmware_dir() / "mcukit_nn" / "src"
    assert "mk_conv2d_s8" in kernels
    assert [kernel for kernel in sorted(kernels) if not (sources / f"{kernel}.c").is_file()] == []


def test_every_operator_but_a_view_has_a_kernel() -> None:
    rows = [row for row in support_table() if row.names]
    assert [row.file for row in rows if not row.kernels] == ["reshape"]
    assert all(row.summary for row in rows)

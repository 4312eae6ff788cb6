# SPDX-License-Identifier: Apache-2.0
"""The table of packed kernels beside those of 8 bits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support.measure import versions

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results" / "packed_kernels.md"


@pytest.mark.parametrize("operator", ["fully_connected", "concat", "mean"])
def test_the_kept_table_is_what_is_measured(operator: str) -> None:
    kept, found = KEPT.read_text(), versions("cortex-m4")
    if found["compiler"] not in kept or found["emulator"] not in kept:
        pytest.skip("the table belongs to another compiler or emulator")
    command = [sys.executable, str(ROOT / "benchmarks" / "packed_kernels.py"), "--only", operator]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert KEPT.read_text() == kept
    rows = [line for line in done.stdout.splitlines() if line.startswith(f"| {operator} ")]
    assert len(rows) == (2 if operator == "fully_connected" else 1)
    # Columns are as wide as what else is in them.
    kept_rows = {" ".join(line.split()) for line in kept.splitlines()}
    assert {" ".join(row.split()) for row in rows} <= kept_rows


def test_int8_is_what_others_are_compared_with() -> None:
    rows = [line.split("|")[1:-1] for line in KEPT.read_text().splitlines() if "x)" in line]
    assert len(rows) == 2 * 5 + 5
    for _, first, *others in rows:
        int8 = float(first.split()[0])
        assert "(1.00x)" in first
        for cell in others:
            found = re.fullmatch(r"(\d+\.\d\d) \((\d+\.\d\d)x\)", cell.strip())
            assert found
            assert float(found[1]) / int8 == pytest.approx(float(found[2]), abs=0.015)

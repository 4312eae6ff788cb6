# SPDX-License-Identifier: Apache-2.0
"""`import mcukit` does all that the command line does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mcukit


def test_every_public_name_is_there() -> None:
    for name in mcukit.__all__:
        assert getattr(mcukit, name) is not None


def test_names_are_listed_before_they_are_loaded() -> None:
    program = "import mcukit; print(set(mcukit.__all__) - set(dir(mcukit)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"


def test_unknown_names_are_refused_as_usual() -> None:
    assert not hasattr(mcukit, "quantise")


def test_importing_loads_no_framework() -> None:
    program = "import sys, mcukit; print(sorted({'numpy', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_public_name_is_hidden_by_a_folder_of_that_name() -> None:
    package = Path(mcukit.__file__).parent
    assert not [name for name in mcukit.__all__ if (package / name).exists() or (package / f"{name}.py").exists()]

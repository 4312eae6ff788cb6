# SPDX-License-Identifier: Apache-2.0
"""Opens a model file, whatever its format."""

from __future__ import annotations

__all__ = ["load_model"]

import os
from pathlib import Path

from mcukit.graph.graph import Graph
from mcukit.importers.files import read_model_file

_TFLITE_IDENTIFIER = b"TFL3"


def load_model(path: str | os.PathLike[str]) -> Graph:
    """The network in a .tflite or .onnx file, told apart by content, not by name.

    Raises McukitError with all problems of the file at once.
    """
    data = read_model_file(path)
    # Importers load their libraries on use, so that one format does without those of the other.
    if data[4:8] == _TFLITE_IDENTIFIER:
        from mcukit.importers.tflite import import_tflite

        return import_tflite(data, Path(path).stem, str(path))
    from mcukit.importers.onnx import import_onnx

    return import_onnx(path)

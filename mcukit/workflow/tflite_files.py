# SPDX-License-Identifier: Apache-2.0
"""What a build holds for TensorFlow Lite Micro."""

from __future__ import annotations

__all__ = ["TfliteFiles", "tflite_files"]

from collections.abc import Mapping
from dataclasses import dataclass

from mcukit.errors import McukitError
from mcukit.export.names import file_stem
from mcukit.export.tflite import build_tflite
from mcukit.export.tflite_patches import build_patched_tflite
from mcukit.export.tflm_files import tflm_files
from mcukit.planning.branch_stage import branch_stage
from mcukit.planning.dataflow import Dataflow
from mcukit.quantized.integer import IntegerModel
from mcukit.report.content import TfliteFacts
from mcukit.tflite.micro import measure_arena
from mcukit.tflite.schema import Model
from mcukit.tflite.writer import write_tflite
from mcukit.workflow.patches import patched_file


@dataclass(frozen=True, eq=False)
class TfliteFiles:
    """files: by name in the build folder. facts: for the report."""

    files: Mapping[str, bytes]
    facts: TfliteFacts


def tflite_files(model: IntegerModel, *, tiled: bool) -> TfliteFiles:
    """The network as a .tflite file, and as C arrays with a resolver. tiled: also one that takes less memory.

    Raises what patched_file raises.
    """
    name, content = file_stem(model.name), _content(model)
    data = write_tflite(content)
    arena = _tflm_arena(data)
    texts = tflm_files(name, content, data, arena)
    files = {f"tflite/{name}.tflite": data}
    patched = patched_file(model, arena) if tiled else None
    if patched:
        files[f"tflite/{name}_patched.tflite"] = patched.data
        texts |= tflm_files(f"{name}_patched", patched.model, patched.data, patched.facts.tflm_arena_bytes)
    files |= {f"tflite/{file}": text.encode() for file, text in texts.items()}
    return TfliteFiles(files, TfliteFacts(len(data), arena, patched.facts if patched else None))


def _content(model: IntegerModel) -> Model:
    """Whole maps, or tiles where these have two precisions."""
    stage = branch_stage(Dataflow(model))
    return build_tflite(model.graph) if stage is None else build_patched_tflite(model, (stage,))


def _tflm_arena(tflite: bytes) -> int | None:
    """The arena as TFLM's interpreter reports it; None where that is not installed."""
    try:
        return measure_arena(tflite).total
    except McukitError as error:
        if error.problems[0].code != "missing-package":
            raise
        return None

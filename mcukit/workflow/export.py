# SPDX-License-Identifier: Apache-2.0
"""Packages of a build for other build systems: Arduino, ESP-IDF and CMake."""

from __future__ import annotations

__all__ = ["EXPORT_FORMATS", "Export", "export_build"]

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import mcukit
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.export.arduino import arduino_files
from mcukit.export.cmake import cmake_files
from mcukit.export.espidf import espidf_files, espidf_tflm_files
from mcukit.export.known_input import KnownInput, checksum_of, known_bytes
from mcukit.export.package_model import Output, PackageModel, Section, package_name
from mcukit.graph.graph import Tensor
from mcukit.workflow.build import Build
from mcukit.workflow.output_folder import FolderKind, write_output_folder
from mcukit.workflow.output_zip import write_output_zip

EXPORT_SCHEMA = 1

EXPORT_FORMATS = ("arduino", "esp-idf", "esp-idf-tflm", "cmake")
"""arduino: a library in a zip; esp-idf: a component; esp-idf-tflm: one for esp-tflite-micro; cmake: a project."""


@dataclass(frozen=True)
class Export:
    """A package that was written.

    format: one of EXPORT_FORMATS. path: of the folder or the zip. name: of library, component or target. header: what
    applications include. files: paths in the package. checksum: what its example expects of its known input.
    """

    format: str
    path: Path
    name: str
    header: str
    files: tuple[str, ...]
    checksum: int


def export_build(build: Build, to: str, output: Path | None = None) -> Export:
    """Writes the network as a package for another build system, from the C files of the build.

    to: one of EXPORT_FORMATS. output: a folder, or a file that ends with .zip, which an Arduino library always is; by
    default export/BUILD/FORMAT/mcukit_NAME beside the build folder BUILD. The same build gives the same bytes. What is
    there already is replaced only if it is such a package and nothing in it was changed.

    Raises McukitError "unknown-format", "wrong-option", "invalid-build" for a build of another version of mcukit,
    "missing-package" where the arena of TensorFlow Lite Micro was not measured, or "unwritable-output".
    """
    if to not in EXPORT_FORMATS:
        choices = f"choose one of {', '.join(EXPORT_FORMATS)}"
        raise McukitError("unknown-format", f"there is no format '{to}'", where="--to", hint=choices, exit_code=2)
    _check_version(build)
    path = _output_path(build, to, output)
    model = _package_model(build)
    kind = _kind(to)
    files = kind.with_manifest(_FORMATS[to](build, model), _manifest(build, to))
    if path.suffix.lower() == ".zip":
        write_output_zip(path, kind, files, package_name(build.name))
    else:
        write_output_folder(path, kind, files)
    name = package_name(build.name)
    return Export(to, path, name, f"{name}.h", tuple(sorted(files)), model.known.checksum)


def _tflm(build: Build, model: PackageModel) -> dict[str, bytes]:
    facts = build.report.get("tflite")
    arena_bytes = facts.get("tflm_arena_bytes") if isinstance(facts, dict) else None
    if not isinstance(arena_bytes, int):
        raise McukitError(
            "missing-package",
            "the build does not say how large TensorFlow Lite Micro's arena must be",
            where=str(build.folder),
            hint="install mcukit[tflm], which measures it, and run `mcukit quantize` again",
        )
    parts = ("model_data.h", "model_data.cc", "op_resolver.h")
    files = {f"{build.name}_{part}": _file(build, f"tflite/{build.name}_{part}") for part in parts}
    return espidf_tflm_files(replace(model, pushed=False), files, arena_bytes)


_FORMATS: dict[str, Callable[[Build, PackageModel], dict[str, bytes]]] = {
    "arduino": lambda _, model: arduino_files(model),
    "esp-idf": lambda _, model: espidf_files(model),
    "esp-idf-tflm": _tflm,
    "cmake": lambda _, model: cmake_files(model),
}


def _package_model(build: Build) -> PackageModel:
    model, plan, name = build.model, build.plan, build.name
    fed = np.frombuffer(known_bytes(model.input.elements), np.int8).reshape(1, -1)
    outputs = run_reference(model, fed).outputs
    several = len(model.outputs) > 1
    scale, zero_point = _affine(model.input)
    return PackageModel(
        name=name,
        c_files={
            file: _file(build, f"model/{file}")
            for file in (f"{name}.h", f"{name}.c", f"{name}_weights.h", f"{name}_weights.c")
        },
        input_bytes=model.input.elements,
        input_scale=scale,
        input_zero_point=zero_point,
        formula=build.preprocessing.formula(),
        outputs=tuple(
            Output(f"_{index}" if several and index else "", tensor.elements, *_affine(tensor))
            for index, tensor in enumerate(model.outputs)
        ),
        arena_bytes=plan.arena_bytes,
        weight_bytes=model.weight_bytes,
        pushed=plan.pushed,
        calibrated=build.calibrated,
        sections=_sections(build),
        known=KnownInput(checksum_of(output.tobytes() for output in outputs)),
    )


def _affine(tensor: Tensor) -> tuple[str, int]:
    """Scale, as C writes it, and zero point of an input or output."""
    if tensor.quantization is None:
        raise ValueError(f"'{tensor.name}' is not quantized")
    return f"{tensor.quantization.tensor_scale!r}f", tensor.quantization.zero_point


def _sections(build: Build) -> tuple[Section, ...]:
    """Those that a plan for several memories wants to have in certain ones."""
    arenas = build.plan.arenas
    placed = [Section(f".bss.mcukit_arena.{region}", region, size) for region, size in arenas.items()]
    weights = Counter[str]()
    for layer in build.model.steps:
        if layer.name in build.plan.weights and layer.kernel:
            weights[build.plan.weights[layer.name]] += sum(constant.bytes for constant in layer.kernel.constants)
    constants = [Section(f".rodata.mcukit_weights.{region}", region, size) for region, size in weights.items()]
    return (*(placed if len(arenas) > 1 else ()), *constants)


def _file(build: Build, name: str) -> bytes:
    """A file of the build, whose hash was compared when it was loaded."""
    try:
        if name not in build.manifest["files"]:
            raise FileNotFoundError(name)
        return (build.folder / name).read_bytes()
    except OSError as error:
        raise McukitError(
            "invalid-build",
            f"this is no usable build folder: '{name}' is missing",
            where=str(build.folder),
            hint="run `mcukit quantize` again",
        ) from error


def _check_version(build: Build) -> None:
    """The kernels that go into a package are those of this version, and so must be the C that calls them."""
    wrote = build.manifest.get("mcukit")
    if wrote != mcukit.__version__:
        raise McukitError(
            "invalid-build",
            f"mcukit {wrote} wrote this build, and this is mcukit {mcukit.__version__}: its kernels may be others",
            where=str(build.folder),
            hint="run `mcukit quantize` again",
        )


def _output_path(build: Build, to: str, output: Path | None) -> Path:
    always_zip = to == "arduino"
    name = package_name(build.name) + ".zip" * always_zip
    # "." and ".." have no parent by name.
    beside = build.folder if build.folder.name not in {"", ".."} else build.folder.resolve()
    path = output or beside.parent / "export" / beside.name / to / name
    if always_zip and path.suffix.lower() != ".zip":
        hint = "give a file that ends with .zip, which the Arduino IDE installs"
        raise McukitError("wrong-option", f"'{path}' is not a zip", where="--output", hint=hint, exit_code=2)
    if path.resolve().is_relative_to(build.folder.resolve()):
        raise McukitError(
            "unwritable-output",
            "the package would lie in the build folder, which holds nothing but the build",
            where=str(path),
            hint="choose another place with -o",
        )
    return path


def _kind(to: str) -> FolderKind:
    name = {"arduino": "an Arduino export", "cmake": "a CMake export"}.get(to, "an ESP-IDF export")
    return FolderKind(name, lambda manifest: manifest.get("export") == to, edited=re.compile(""))


def _manifest(build: Build, to: str) -> dict[str, object]:
    source = {
        key: build.manifest.get(key) for key in ("model", "calibrated", "calibration", "preprocessing", "options")
    }
    return {"schema": EXPORT_SCHEMA, "mcukit": mcukit.__version__, "export": to, "name": build.name, "build": source}

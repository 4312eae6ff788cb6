# SPDX-License-Identifier: Apache-2.0
"""A build folder: all that `quantize` made of a model, written at once and read back by every later step."""

from __future__ import annotations

__all__ = ["Build", "check_output", "load_build", "write_build"]

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcukit.calibration.preprocessing import Preprocessing
from mcukit.emulation.build import CSources
from mcukit.errors import McukitError
from mcukit.export.names import file_stem
from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.serialize import load_graph
from mcukit.planning.plan import Plan
from mcukit.planning.plan_bits import bits_from_file
from mcukit.planning.plan_file import load_plan
from mcukit.planning.plan_kernels import kernels_from_file, with_plan_kernels
from mcukit.quantized.branches import with_branches
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.workflow.output_folder import FolderKind, check_output_folder, write_output_folder

MANIFEST_SCHEMA = 1

_NEEDED = ("model/quantized.npz", "plan.json", "report.json")

_MADE_FROM_A_BUILD = re.compile(r"firmware/(\.pio/|\.emulated/|(.+/)?__pycache__/)")
"""What PlatformIO and emulated boards leave in a project: it is made again whenever that is built and flashed."""

_MADE_FOR_EDITING = re.compile(r"firmware/platformio\.ini$")
"""How PlatformIO uploads and what else it adds is up to whoever has the board."""

_KIND = FolderKind(
    "a build",
    lambda manifest: "mcukit" in manifest and "export" not in manifest,
    _MADE_FROM_A_BUILD,
    _MADE_FOR_EDITING,
)


@dataclass(frozen=True, eq=False)
class Build:
    """A build folder and what it holds. report and manifest: the content of report.json and manifest.json."""

    folder: Path
    model: IntegerModel
    plan: Plan
    preprocessing: Preprocessing
    report: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As in file names and C identifiers."""
        return file_stem(self.model.name)

    @property
    def calibrated(self) -> bool:
        """Whether ranges come from the user's data and not from synthetic images."""
        return bool(self.report["calibrated"])

    def float_graph(self) -> Graph | None:
        """The float network that was quantized; None where the model was int8 to begin with."""
        path = self.folder / "model" / "float.npz"
        return load_graph(path) if path.is_file() else None

    def tflite(self) -> bytes:
        """The file for TensorFlow Lite Micro."""
        return _read(self.folder / "tflite" / f"{self.name}.tflite")

    def c_sources(self) -> CSources:
        """The generated C, for the emulator."""
        layers = len(self.model.steps)
        outputs = self.model.outputs[0].elements
        return CSources(self.name, self.folder / "model", layers, self.model.input.elements, outputs)

    def real_inputs(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Stored values (N, height, width, channels) as the float network takes them."""
        shape = map_shape(self.model.input.shape)
        if values.shape[1:] != shape:
            raise McukitError(
                "wrong-input",
                f"inputs of shape {values.shape[1:]} given, the network takes {shape} (height, width, channels)",
            )
        return self.preprocessing.apply(values)

    def quantize_inputs(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int8]:
        """Stored values (N, height, width, channels) as the network's input bytes (N, bytes)."""
        quantization = self.model.input.quantization
        if quantization is None:
            raise ValueError("the input is not quantized")
        integers = np.empty((len(values), self.model.input.elements), np.int8)
        for index in range(len(values)):
            real = self.real_inputs(values[index : index + 1])
            integers[index] = quantization.quantize(real).ravel()
        return integers


def write_build(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    """Writes all files, or leaves an older build untouched. See `write_output_folder`."""
    write_output_folder(folder, _KIND, _KIND.with_manifest(files, {"schema": MANIFEST_SCHEMA, **manifest}))


def check_output(folder: Path) -> None:
    """Refuses a folder that `write_build` could not write, before minutes are spent on what goes into it."""
    check_output_folder(folder, _KIND)


def load_build(folder: Path) -> Build:
    """Reads a build folder. Raises McukitError "invalid-build" if it isn't one or is not as it was written."""
    manifest = _read_json(folder / "manifest.json", folder)
    if manifest.get("schema") != MANIFEST_SCHEMA:
        raise _invalid(
            folder, f"its manifest has schema {manifest.get('schema')!r}, this mcukit reads {MANIFEST_SCHEMA}"
        )
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise _invalid(folder, "its manifest lists no files")
    for name, digest in files.items():
        path = folder / name
        if "\0" in name or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise _invalid(folder, f"'{name}' is missing")
        if not _MADE_FOR_EDITING.match(name) and hashlib.sha256(_read(path)).hexdigest() != digest:
            raise _invalid(folder, f"'{name}' was changed after it was written")
    for name in _NEEDED:
        if name not in files:
            raise _invalid(folder, f"its manifest does not list '{name}'")
    try:
        kernels = KernelSet(manifest.get("kernels", KernelSet.PORTABLE))
        lowered = lower(load_graph(folder / "model" / "quantized.npz"), kernels)
        path = folder / "plan.json"
        model = with_plan_kernels(_with_branches(folder, lowered), kernels_from_file(path), str(path))
        plan = load_plan(path, model)
        preprocessing = _preprocessing(manifest["preprocessing"])
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _invalid(folder, f"its content makes no sense ({error})") from error
    return Build(folder, model, plan, preprocessing, _read_json(folder / "report.json", folder), manifest)


def _with_branches(folder: Path, model: IntegerModel) -> IntegerModel:
    """The model with the second form of its tiled layers, if it has one."""
    narrow = folder / "model" / "narrow.npz"
    if not narrow.is_file():
        return model
    branching = bits_from_file(folder / "plan.json").branching
    if branching is None:
        raise ValueError("there are narrow forms of layers and no branches")
    rows, columns = _read_json(folder / "plan.json", folder)["stages"][0]["grid"]
    return with_branches(model, load_graph(narrow), (int(rows), int(columns)), branching.wide, branching.test)


def _preprocessing(described: Mapping[str, Any]) -> Preprocessing:
    mean, std = (tuple(float(number) for number in described[key]) for key in ("mean", "std"))
    return Preprocessing(float(described["scale"]), mean, std)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _invalid(path.parent, f"'{path.name}' can't be read: {error.strerror}") from error


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        reason = "it is a file" if folder.exists() else "there is none"
        raise _invalid(folder, reason, "give the folder that `mcukit quantize` has written")
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise _invalid(folder, f"'{path.name}' can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        # Folders without a manifest of theirs are never replaced.
        hint = "remove the folder, and run `mcukit quantize` again"
        raise _invalid(folder, f"'{path.name}' is damaged: it is not valid JSON", hint) from error
    if not isinstance(content, dict):
        raise _invalid(folder, f"'{path.name}' is not an object")
    return content


def _invalid(folder: Path, reason: str, hint: str = "run `mcukit quantize` again") -> McukitError:
    return McukitError(
        "invalid-build",
        f"this is no usable build folder: {reason}",
        where=str(folder),
        hint=hint,
    )

# SPDX-License-Identifier: Apache-2.0
"""Constants of ONNX files: checked before anything is allocated; external data only from the model's folder."""

from __future__ import annotations

__all__ = ["array_of", "check_tensor", "embed_external_data", "has_external_data"]

import math
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from mcukit.errors import McukitError, Problem
from mcukit.graph.validate import MAX_ELEMENTS, MAX_RANK
from mcukit.importers.files import read_model_file

_STORAGE: dict[int, tuple[int, str]] = {
    TensorProto.FLOAT: (4, "float_data"),
    TensorProto.DOUBLE: (8, "double_data"),
    TensorProto.FLOAT16: (2, "int32_data"),
    TensorProto.BFLOAT16: (2, "int32_data"),
    TensorProto.BOOL: (1, "int32_data"),
    TensorProto.INT8: (1, "int32_data"),
    TensorProto.INT16: (2, "int32_data"),
    TensorProto.INT32: (4, "int32_data"),
    TensorProto.INT64: (8, "int64_data"),
    TensorProto.UINT8: (1, "int32_data"),
    TensorProto.UINT16: (2, "int32_data"),
    TensorProto.UINT32: (4, "uint64_data"),
    TensorProto.UINT64: (8, "uint64_data"),
}
"""Bytes per element in raw_data, and the field that holds elements otherwise."""

_INTEGER_FIELDS = {"int32_data", "uint64_data"}
_AGAIN = "export the model again"


def has_external_data(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL


def check_tensor(tensor: TensorProto, where: str) -> list[Problem]:
    """Problems of a constant: type, shape, and whether its data have the size of its shape."""
    if tensor.data_type not in _STORAGE:
        known = tensor.data_type in TensorProto.DataType.values()
        name = TensorProto.DataType.Name(tensor.data_type) if known else str(tensor.data_type)
        hint = "export the model with float32 weights"
        return [Problem("unsupported-type", f"constants of type {name} are not supported", where, hint)]
    if len(tensor.dims) > MAX_RANK or any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > MAX_ELEMENTS:
        message = f"shape {list(tensor.dims)[:MAX_RANK]} is out of bounds"
        return [Problem("invalid-model", message, where, f"constants may have {MAX_ELEMENTS} elements")]
    if tensor.HasField("segment"):
        return [Problem("invalid-model", "it is stored in segments", where, _AGAIN)]
    if has_external_data(tensor):
        return []
    item, field = _STORAGE[tensor.data_type]
    elements = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        stored, needed, unit = len(tensor.raw_data), elements * item, "bytes"
    else:
        stored, needed, unit = len(getattr(tensor, field)), elements, "values"
    if stored != needed:
        message = f"shape {list(tensor.dims)} needs {needed} {unit}, but {stored} are stored"
        return [Problem("invalid-model", message, where, _AGAIN)]
    if unit == "values" and field in _INTEGER_FIELDS and not _in_range(getattr(tensor, field), item, tensor.data_type):
        return [Problem("invalid-model", "a value does not fit its type", where, _AGAIN)]
    return []


def _in_range(values: Any, item: int, data_type: int) -> bool:
    signed = data_type in (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32)
    low = -(1 << (8 * item - 1)) if signed else 0
    high = (1 << (8 * item - 1)) - 1 if signed else (1 << (8 * item)) - 1
    return not values or (low <= min(values) and max(values) <= high)


def array_of(tensor: TensorProto) -> npt.NDArray[Any]:
    """The array of a tensor that passed `check_tensor` and whose data are embedded."""
    array = numpy_helper.to_array(tensor)
    array.flags.writeable = False
    return array


def embed_external_data(model: onnx.ModelProto, folder: Path | None) -> list[Problem]:
    """Replaces references to data files by their content.

    A reference has to stay inside `folder`, links followed; None: nothing may be external. Each file is read once.
    """
    problems = []
    files: dict[str, bytes] = {}
    for tensor in model.graph.initializer:
        if has_external_data(tensor):
            where = f"constant '{tensor.name}'"
            try:
                tensor.raw_data = _external_bytes(tensor, folder, files)
            except McukitError as error:
                problems += [Problem(p.code, p.message, where, p.hint) for p in error.problems]
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return problems


def _external_bytes(tensor: TensorProto, folder: Path | None, files: dict[str, bytes]) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        hint = "give the path of the model instead of its bytes"
        raise McukitError("external-data", f"its data are in another file, '{location}'", hint=hint)
    if location not in files:
        files[location] = read_model_file(_contained(folder, location))
    data = files[location]
    size = math.prod(tensor.dims) * _STORAGE[tensor.data_type][0]
    offset, length = _number(entries.get("offset", "0")), _number(entries.get("length", str(size)))
    if length != size or offset + length > len(data):
        message = f"{length} bytes at {offset} of '{location}', which has {len(data)}, can't be its {size} bytes"
        raise McukitError("invalid-model", message, hint="copy all files of the model together")
    return data[offset : offset + length]


def _contained(folder: Path, location: str) -> Path:
    """The file that `location` names if it lies in `folder` or below it."""
    try:
        root = folder.resolve()
        path = (root / location).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise McukitError("external-data", f"its data file '{location}' has no valid name", hint=_AGAIN) from error
    if not location or not path.is_relative_to(root):
        message = f"its data file '{location}' lies outside of the model's folder"
        raise McukitError("external-data", message, hint="keep data files beside the model")
    return path


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise McukitError("invalid-model", f"'{text}' is no position in a data file", hint=_AGAIN)
    return int(text)

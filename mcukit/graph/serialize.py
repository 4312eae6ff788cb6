# SPDX-License-Identifier: Apache-2.0
"""Keeps a Graph in one .npz file: a JSON description beside the arrays. Nothing in it can run code."""

from __future__ import annotations

__all__ = ["graph_bytes", "load_graph", "save_graph"]

import dataclasses
import io
import json
import math
import types
import typing
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.graph.validate import validate
from mcukit.ops.operator import Operator, load_operators

_FORMAT = 1
_DESCRIPTION = "graph"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def save_graph(graph: Graph, path: Path) -> None:
    """Writes the graph to a file that `load_graph` reads."""
    path.write_bytes(graph_bytes(graph))


def graph_bytes(graph: Graph) -> bytes:
    """The file's content: the same bytes for the same graph."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def store(array: np.ndarray[Any, Any]) -> str:
        name = f"array{len(arrays)}"
        arrays[name] = array
        return name

    description = {
        "format": _FORMAT,
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "tensors": [
            {
                "name": tensor.name,
                "shape": tensor.shape,
                "data": None if tensor.data is None else store(tensor.data),
                "quantization": None
                if tensor.quantization is None
                else _describe_quantization(tensor.quantization, store),
            }
            for tensor in graph.tensors.values()
        ],
        "nodes": [
            {"name": node.name, "inputs": node.inputs, "output": node.output, "operator": _describe(node.operator)}
            for node in graph.nodes
        ],
    }
    text = json.dumps(description, allow_nan=True)
    arrays[_DESCRIPTION] = np.frombuffer(text.encode(), np.uint8)
    # numpy.savez stamps the time of writing; the same graph has to give the same bytes.
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _FIXED_TIME), buffer.getvalue())
    return content.getvalue()


def load_graph(path: Path) -> Graph:
    """Reads what `save_graph` wrote. Raises McukitError "invalid-build" for anything else."""
    load_operators()
    try:
        graph = _graph(_read_arrays(path))
        validate(graph)
    except Exception as error:  # a file can be wrong in any way, and operators trust their attributes
        raise McukitError(
            "invalid-build",
            f"this is not a graph that this version of mcukit wrote ({error})",
            where=str(path),
            hint="quantize the model again",
        ) from error
    return graph


def _graph(arrays: dict[str, np.ndarray[Any, Any]]) -> Graph:
    description = json.loads(arrays[_DESCRIPTION].tobytes())
    _check_format(description["format"])
    tensors = {entry["name"]: _tensor(entry, arrays) for entry in description["tensors"]}
    nodes = tuple(
        Node(entry["name"], _operator(entry["operator"]), tuple(entry["inputs"]), entry["output"])
        for entry in description["nodes"]
    )
    return Graph(description["name"], tensors, nodes, tuple(description["inputs"]), tuple(description["outputs"]))


def _read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Nothing becomes larger than it is in the file: neither by compression nor by what a header claims."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError("it is compressed")
            data = archive.read(member)
            stream = io.BytesIO(data)
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            values = np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape)
            arrays[member.filename.removesuffix(".npy")] = values.copy()
    return arrays


def _check_format(found: object) -> None:
    if found != _FORMAT:
        raise ValueError(f"its format is {found!r}, expected {_FORMAT}")


def _tensor(entry: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> Tensor:
    data = None if entry["data"] is None else arrays[entry["data"]]
    described = entry["quantization"]
    quantization = None
    if described is not None:
        quantization = Quantization(
            arrays[described["scale"]], described["zero_point"], described["axis"], described["bits"]
        )
    return Tensor(entry["name"], tuple(entry["shape"]), data, quantization)


def _describe_quantization(quantization: Quantization, store: Any) -> dict[str, Any]:
    return {
        "scale": store(quantization.scale),
        "zero_point": quantization.zero_point,
        "axis": quantization.axis,
        "bits": quantization.bits,
    }


def _describe(value: Any) -> Any:
    """A dataclass as {"type": ..., fields}; infinities as text, because JSON has none."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: _describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        kind = value.op_name if isinstance(value, Operator) else type(value).__name__
        return {"type": kind, **fields}
    if isinstance(value, tuple):
        return [_describe(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, np.generic):
        return value.item()
    return value


def _operator(described: dict[str, Any]) -> Operator:
    kinds = {kind.op_name: kind for kind in _subclasses(Operator)}  # type: ignore[type-abstract]
    built: Operator = _build(kinds[described["type"]], described)
    return built


def _build(kind: Any, described: dict[str, Any]) -> Any:
    """The dataclass `kind`; types of its fields come from its own annotations, never from the file."""
    hints = typing.get_type_hints(kind)
    return kind(**{f.name: _value(hints[f.name], described[f.name]) for f in dataclasses.fields(kind)})


def _value(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        return None if value is None else _value(inner[0], value)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, item) for item in value)
    return hint(value) if hint in (int, float, bool, str) else value


def _subclasses(kind: type[Operator]) -> list[type[Operator]]:
    direct = kind.__subclasses__()
    return [sub for sub in direct if hasattr(sub, "op_name")] + [deep for sub in direct for deep in _subclasses(sub)]

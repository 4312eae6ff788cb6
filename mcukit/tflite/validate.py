# SPDX-License-Identifier: Apache-2.0
"""What has to hold between the parts of a model, whether it was read from a file or made in Python."""

from __future__ import annotations

__all__ = ["MAX_RANK", "MAX_TENSOR_BYTES", "check_model"]

import math
from collections.abc import Iterator
from itertools import islice

from mcukit.errors import McukitError, Problem
from mcukit.tflite.enums import TensorType
from mcukit.tflite.options import OPTIONS_BY_OPERATOR
from mcukit.tflite.schema import ABSENT, Model, Operator, QuantizationParameters, SubGraph, Tensor

MAX_RANK = 8
MAX_TENSOR_BYTES = 2**31 - 1
"""A tensor's size is an int in TFLite's interpreters."""

_SUPPORTED_VERSION = 3
_REPORTED_PROBLEMS = 20
_SHOWN_CHARACTERS = 80


def check_model(model: Model, where: str) -> None:
    """Raises McukitError "invalid-model" with the first 20 problems of `model`, which `where` names."""
    problems = [
        Problem("invalid-model", message, f"{where}: {place}" if place else where)
        for place, message in islice(_problems(model), _REPORTED_PROBLEMS)
    ]
    if problems:
        raise McukitError.collect(problems)


def _problems(model: Model) -> Iterator[tuple[str, str]]:
    """(place, message) of everything that is wrong."""
    if model.version != _SUPPORTED_VERSION:
        yield "", f"the schema version is {model.version}; only version {_SUPPORTED_VERSION} exists"
    if not model.subgraphs:
        yield "", "the model has no subgraph"
    if model.buffers and model.buffers[0].data:
        yield "buffer 0", f"buffer 0 has {len(model.buffers[0].data)} bytes; by convention it is empty"
    for index, entry in enumerate(model.metadata):
        if not 0 <= entry.buffer < len(model.buffers):
            yield (
                f"metadata {index} {_quoted(entry.name)}",
                _out_of_range("buffer", entry.buffer, len(model.buffers)),
            )
    for number, graph in enumerate(model.subgraphs):
        prefix = "" if number == 0 else f"subgraph {number}, "
        for place, message in _graph_problems(model, graph):
            yield prefix + place, message


def _graph_problems(model: Model, graph: SubGraph) -> Iterator[tuple[str, str]]:
    for kind, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for position, index in enumerate(indices):
            if not 0 <= index < len(graph.tensors):
                yield f"{kind} {position}", _out_of_range("tensor", index, len(graph.tensors))
    for index, tensor in enumerate(graph.tensors):
        for message in _tensor_problems(model, tensor):
            yield f"tensor {index} {_quoted(tensor.name)}", message
    for index, operator in enumerate(graph.operators):
        for message in _operator_problems(operator, len(graph.tensors)):
            yield f"operator {index} {_quoted(operator.name)}", message


def _quoted(name: str) -> str:
    """A name from the file as messages may show it: printable and not endless."""
    return repr(name[:_SHOWN_CHARACTERS])


def _out_of_range(what: str, index: int, count: int) -> str:
    return f"refers to {what} {index}, but there are {count}"


def _operator_problems(operator: Operator, tensors: int) -> Iterator[str]:
    for index in operator.inputs:
        if index != ABSENT and not 0 <= index < tensors:
            yield "input " + _out_of_range("tensor", index, tensors)
    for index in operator.outputs:
        if not 0 <= index < tensors:
            yield "output " + _out_of_range("tensor", index, tensors)
    expected = OPTIONS_BY_OPERATOR.get(operator.builtin)
    if operator.options is not None and type(operator.options) is not expected:
        needed = "no options" if expected is None else expected.__name__
        yield f"has {type(operator.options).__name__} instead of {needed}"


def _tensor_problems(model: Model, tensor: Tensor) -> Iterator[str]:
    if len(tensor.shape) > MAX_RANK:
        yield f"has {len(tensor.shape)} dimensions; {MAX_RANK} are the most that TFLite knows"
        return
    if any(not 0 <= size <= MAX_TENSOR_BYTES for size in tensor.shape):
        yield f"has the shape {list(tensor.shape)}; sizes go from 0 to {MAX_TENSOR_BYTES}"
        return
    if tensor.shape_signature and len(tensor.shape_signature) != len(tensor.shape):
        yield f"has {len(tensor.shape)} dimensions, but a shape signature of {len(tensor.shape_signature)}"
    yield from _data_problems(model, tensor)
    if tensor.quantization is not None:
        yield from _quantization_problems(tensor.quantization, tensor)


def _data_problems(model: Model, tensor: Tensor) -> Iterator[str]:
    bits = tensor.type.bits
    needed = None if bits is None else (tensor.elements * bits + 7) // 8
    if needed is not None and needed > MAX_TENSOR_BYTES:
        yield f"has the shape {list(tensor.shape)}: {needed} bytes, more than an interpreter can hold"
    if not 0 <= tensor.buffer < len(model.buffers):
        yield _out_of_range("buffer", tensor.buffer, len(model.buffers))
        return
    stored = len(model.buffers[tensor.buffer].data)
    if stored and needed is not None and stored != needed:
        yield (
            f"is {tensor.type.name} of shape {list(tensor.shape)}, which takes {needed} bytes, "
            f"but its buffer {tensor.buffer} has {stored}"
        )


def _quantization_problems(quantization: QuantizationParameters, tensor: Tensor) -> Iterator[str]:
    scales, zero_points = quantization.scale, quantization.zero_point
    if len(scales) != len(zero_points):
        yield f"has {len(scales)} scales, but {len(zero_points)} zero points"
    if not all(math.isfinite(scale) and scale > 0 for scale in scales):
        bad = next(scale for scale in scales if not (math.isfinite(scale) and scale > 0))
        yield f"has the scale {bad}; scales are positive and finite"
    if quantization.is_per_channel:
        yield from _channel_problems(quantization, tensor)
    yield from _zero_point_problems(zero_points, tensor.type)


def _channel_problems(quantization: QuantizationParameters, tensor: Tensor) -> Iterator[str]:
    axis = quantization.quantized_dimension
    if not 0 <= axis < len(tensor.shape):
        yield f"is quantized along dimension {axis}, but has {len(tensor.shape)}"
    elif tensor.shape[axis] != len(quantization.scale):
        yield f"has {len(quantization.scale)} scales for the {tensor.shape[axis]} indices of dimension {axis}"


def _zero_point_problems(zero_points: tuple[int, ...], tensor_type: TensorType) -> Iterator[str]:
    bounds = tensor_type.integer_range
    if bounds is None:
        return
    low, high = bounds
    outside = [value for value in zero_points if not low <= value <= high]
    if outside:
        yield f"has the zero point {outside[0]}, which {tensor_type.name} can't hold"

# SPDX-License-Identifier: Apache-2.0
"""A TFLite model as typed, frozen data: the part of the schema that mcukit reads and writes.

`mcukit.tflite.reader.read_tflite` makes a Model from a file, `mcukit.tflite.writer.write_tflite` a file from
a Model. Unlike in the file, an operator holds its operator code itself and not an index of one.
"""

# ruff: noqa: RUF009  (the calls declare fields, like dataclasses.field)
from __future__ import annotations

__all__ = [
    "ABSENT",
    "Buffer",
    "Metadata",
    "Model",
    "Operator",
    "OperatorCode",
    "QuantizationParameters",
    "SubGraph",
    "Tensor",
]

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from mcukit.errors import McukitError
from mcukit.tflite.enums import BuiltinOperator, TensorType
from mcukit.tflite.options import Options
from mcukit.tflite.slots import (
    bit,
    byte_vector,
    enumeration,
    float32_vector,
    int32,
    int32_vector,
    int64_vector,
    sub_table,
    text,
    uint32,
)

ABSENT = -1
"""The tensor index of an optional input that an operator doesn't have."""

OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True)
class OperatorCode:
    """Which operator, in which version of its definition. `custom_code` names an operator of type CUSTOM."""

    builtin: BuiltinOperator
    version: int = 1
    custom_code: str = ""


@dataclass(frozen=True)
class QuantizationParameters:
    """real = scale * (stored - zero_point), with one scale or one per index of `quantized_dimension`.

    Scales are rounded to float32, which is how files keep them. No scales at all: the tensor isn't quantized.
    """

    REFUSED: ClassVar[Mapping[int, str]] = {5: "custom or blockwise quantization"}

    scale: tuple[float, ...] = float32_vector(2)
    zero_point: tuple[int, ...] = int64_vector(3)
    quantized_dimension: int = int32(6)

    def __post_init__(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            object.__setattr__(self, "scale", tuple(np.array(self.scale, np.float64).astype(np.float32).tolist()))

    @property
    def is_per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True)
class Tensor:
    """A value in a subgraph. It is constant if `buffer`, an index of the model's buffers, has bytes."""

    REFUSED: ClassVar[Mapping[int, str]] = {
        6: "a sparse tensor",
        10: "a tensor whose data is kept in another file",
    }

    name: str = text(3)
    shape: tuple[int, ...] = int32_vector(0, always=True)
    type: TensorType = enumeration(1, TensorType.FLOAT32)
    buffer: int = uint32(2)
    quantization: QuantizationParameters | None = sub_table(4, QuantizationParameters)
    is_variable: bool = bit(5)
    shape_signature: tuple[int, ...] = int32_vector(7)
    """The shape with -1 for each dynamic dimension; empty if there is none."""
    has_rank: bool = bit(8)

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Operator:
    """A step of a subgraph. `inputs` and `outputs` are tensor indices, an input may be ABSENT.

    options: what the schema has for this operator; None if the file has none or mcukit doesn't decode them.
    custom_options: the options of a CUSTOM operator, whose format is its own.
    has_unread_options: whether the file has options that mcukit doesn't decode; such an operator can't be
        written.
    """

    code: OperatorCode
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options | None = None
    custom_options: memoryview | bytes = b""
    has_unread_options: bool = False

    @property
    def builtin(self) -> BuiltinOperator:
        return self.code.builtin

    @property
    def name(self) -> str:
        """What messages call the operator, e.g. "CONV_2D"; for a custom one the name its author gave it."""
        return self.code.custom_code or self.code.builtin.name

    def options_as(self, table: type[OptionsT]) -> OptionsT:
        """The options as a `table`. Raises McukitError "invalid-model" if there are none of that type."""
        if not isinstance(self.options, table):
            raise McukitError("invalid-model", f"the operator {self.name} has no {table.__name__}")
        return self.options


@dataclass(frozen=True)
class SubGraph:
    """Operators in the order of their execution. `inputs` and `outputs` are indices of `tensors`."""

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]
    name: str = ""


@dataclass(frozen=True)
class Buffer:
    """The bytes of a constant tensor or of metadata: after reading a view of the file, not a copy."""

    REFUSED: ClassVar[Mapping[int, str]] = {1: "a buffer whose data is kept outside of the flatbuffer"}

    data: memoryview | bytes = byte_vector(0, alignment=16)


@dataclass(frozen=True)
class Metadata:
    """A named buffer that belongs to no tensor."""

    name: str = text(0)
    buffer: int = uint32(1)


@dataclass(frozen=True)
class Model:
    """A .tflite file. By convention `buffers[0]` is empty: all tensors without data refer to it."""

    subgraphs: tuple[SubGraph, ...]
    buffers: tuple[Buffer, ...] = (Buffer(),)
    description: str = ""
    metadata: tuple[Metadata, ...] = ()
    version: int = 3

    @property
    def main(self) -> SubGraph:
        """The subgraph that runs; others are called by it."""
        return self.subgraphs[0]

    @property
    def operator_codes(self) -> tuple[OperatorCode, ...]:
        """Each distinct operator code, in the order of first use."""
        return tuple(dict.fromkeys(operator.code for graph in self.subgraphs for operator in graph.operators))

    @property
    def computed_tensors(self) -> tuple[int, ...]:
        """The indices of the tensors that the main subgraph computes, in the order of their computation."""
        return tuple(index for operator in self.main.operators for index in operator.outputs)

    def constant(self, tensor_index: int, subgraph: int = 0) -> NDArray[np.generic] | None:
        """The constant value of a tensor as a read-only array of its shape; None if the model computes it.

        Raises McukitError "unsupported-type" for types that NumPy doesn't have, such as INT4.
        """
        tensor = self.subgraphs[subgraph].tensors[tensor_index]
        data = self.buffers[tensor.buffer].data
        if not data:
            return None
        if tensor.type.dtype is None:
            raise McukitError(
                "unsupported-type",
                f"constants of type {tensor.type.name} can't be read",
                where=f"tensor {tensor_index} '{tensor.name}'",
                hint="convert the model with float32, int8, int16 or int32 constants",
            )
        values = np.frombuffer(data, tensor.type.dtype).reshape(tensor.shape)
        values.flags.writeable = False
        return values

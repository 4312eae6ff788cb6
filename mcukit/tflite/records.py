# SPDX-License-Identifier: Apache-2.0
"""The tables of a file that `schema` shows in another form: here exactly as they stand in the file."""

# ruff: noqa: RUF009  (the calls declare fields, like dataclasses.field)
from __future__ import annotations

__all__ = ["LAST_SMALL_CODE", "ModelRecord", "OperatorCodeRecord", "OperatorRecord", "SubGraphRecord"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcukit.tflite.options import OPTIONS_BY_ID, Options
from mcukit.tflite.schema import Buffer, Metadata, Tensor
from mcukit.tflite.slots import byte_vector, int8, int32, int32_vector, tables, text, uint8, uint32, union

LAST_SMALL_CODE = 127
"""The largest operator code that fits the field of the first readers; it stands for all larger ones."""


@dataclass(frozen=True)
class OperatorCodeRecord:
    """The larger of both codes counts: old files have the first only, and it can't hold more than 127."""

    deprecated_builtin_code: int = int8(0)
    custom_code: str = text(1)
    version: int = int32(2, default=1, absent=1)
    builtin_code: int = int32(3, minimum=0)


@dataclass(frozen=True)
class OperatorRecord:
    """`options_type` is the id of the table in `options`; unknown ids leave `options` None."""

    REFUSED: ClassVar[Mapping[int, str]] = {9: "custom options that are kept outside of the flatbuffer"}

    opcode_index: int = uint32(0)
    inputs: tuple[int, ...] = int32_vector(1, always=True)
    outputs: tuple[int, ...] = int32_vector(2, always=True)
    options_type: int = uint8(3)
    options: Options | None = union(4, OPTIONS_BY_ID)
    custom_options: memoryview | bytes = byte_vector(5, alignment=16)
    options_2_type: int = uint8(11)


@dataclass(frozen=True)
class SubGraphRecord:
    tensors: tuple[Tensor, ...] = tables(0, Tensor)
    inputs: tuple[int, ...] = int32_vector(1, always=True)
    outputs: tuple[int, ...] = int32_vector(2, always=True)
    operators: tuple[OperatorRecord, ...] = tables(3, OperatorRecord)
    name: str = text(4)


@dataclass(frozen=True)
class ModelRecord:
    REFUSED: ClassVar[Mapping[int, str]] = {9: "buffers that are kept in another file"}

    version: int = uint32(0)
    operator_codes: tuple[OperatorCodeRecord, ...] = tables(1, OperatorCodeRecord)
    subgraphs: tuple[SubGraphRecord, ...] = tables(2, SubGraphRecord)
    description: str = text(3)
    buffers: tuple[Buffer, ...] = tables(4, Buffer)
    metadata: tuple[Metadata, ...] = tables(6, Metadata)

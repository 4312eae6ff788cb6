# SPDX-License-Identifier: Apache-2.0
"""Reads .tflite files, trusting nothing in them."""

from __future__ import annotations

__all__ = ["FILE_IDENTIFIER", "read_tflite"]

from mcukit.errors import McukitError
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.flatbuffer_reader import FlatbufferReader
from mcukit.tflite.records import ModelRecord, OperatorCodeRecord, OperatorRecord, SubGraphRecord
from mcukit.tflite.schema import Model, Operator, OperatorCode, SubGraph
from mcukit.tflite.validate import check_model

FILE_IDENTIFIER = b"TFL3"
_IDENTIFIER_END = 8


def read_tflite(data: bytes, where: str) -> Model:
    """The model in the bytes of a .tflite file; `where` names the file in errors.

    Constants are views of `data`, nothing is copied. Signatures, minima and maxima of ranges, and the options
    of operators that `mcukit.tflite.options` doesn't list aren't read.

    Raises McukitError "not-a-tflite-model", "truncated-model" or "invalid-model", or "unsupported-model" for
    sparse tensors, blockwise quantization and data outside of the flatbuffer.
    """
    if data[4:_IDENTIFIER_END] != FILE_IDENTIFIER[: max(0, len(data) - 4)] or len(data) < 5:
        raise McukitError(
            "not-a-tflite-model",
            f"a .tflite file has '{FILE_IDENTIFIER.decode()}' as its 5th to 8th byte, this file hasn't",
            where=where,
            hint="give the path of a .tflite file",
        )
    model = _model(FlatbufferReader(data, where).root(ModelRecord), where)
    check_model(model, where)
    return model


def _model(record: ModelRecord, where: str) -> Model:
    codes = tuple(map(_operator_code, record.operator_codes))
    return Model(
        subgraphs=tuple(_subgraph(graph, codes, where) for graph in record.subgraphs),
        buffers=record.buffers,
        description=record.description,
        metadata=record.metadata,
        version=record.version,
    )


def _operator_code(record: OperatorCodeRecord) -> OperatorCode:
    number = max(record.deprecated_builtin_code, record.builtin_code)
    return OperatorCode(BuiltinOperator(number), record.version, record.custom_code)


def _subgraph(record: SubGraphRecord, codes: tuple[OperatorCode, ...], where: str) -> SubGraph:
    return SubGraph(
        tensors=record.tensors,
        inputs=record.inputs,
        outputs=record.outputs,
        operators=tuple(_operator(operator, codes, where) for operator in record.operators),
        name=record.name,
    )


def _operator(record: OperatorRecord, codes: tuple[OperatorCode, ...], where: str) -> Operator:
    if record.opcode_index >= len(codes):
        message = f"an operator refers to operator code {record.opcode_index}, but there are {len(codes)}"
        raise McukitError("invalid-model", message, where=where)
    return Operator(
        code=codes[record.opcode_index],
        inputs=record.inputs,
        outputs=record.outputs,
        options=record.options,
        custom_options=record.custom_options,
        has_unread_options=record.options_2_type != 0 or (record.options_type != 0 and record.options is None),
    )

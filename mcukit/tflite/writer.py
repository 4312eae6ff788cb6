# SPDX-License-Identifier: Apache-2.0
"""Writes .tflite files. Equal models give equal bytes."""

from __future__ import annotations

__all__ = ["MAX_CONSTANT_BYTES", "model_record", "write_tflite"]

from collections.abc import Mapping

from mcukit.errors import McukitError
from mcukit.tflite.flatbuffer_writer import write_root
from mcukit.tflite.options import OPTIONS_IDS
from mcukit.tflite.reader import FILE_IDENTIFIER
from mcukit.tflite.records import (
    LAST_SMALL_CODE,
    ModelRecord,
    OperatorCodeRecord,
    OperatorRecord,
    SubGraphRecord,
)
from mcukit.tflite.schema import Model, Operator, OperatorCode, SubGraph
from mcukit.tflite.validate import check_model

MAX_CONSTANT_BYTES = 1 << 30
"""A flatbuffer's offsets reach 2 GiB; half of it leaves room for everything else."""

_WHERE = "the model to write"


def write_tflite(model: Model) -> bytes:
    """The bytes of a .tflite file that `read_tflite` reads back as an equal model.

    Constants stand at multiples of 16 bytes, as the interpreters use them in place.

    Raises McukitError "invalid-model" if the model contradicts itself, "unsupported-model" if an operator had
    options that mcukit doesn't decode, and "model-too-large".
    """
    check_model(model, _WHERE)
    constant_bytes = sum(len(buffer.data) for buffer in model.buffers)
    if constant_bytes > MAX_CONSTANT_BYTES:
        message = f"the constants take {constant_bytes} bytes; a .tflite file of mcukit holds {MAX_CONSTANT_BYTES}"
        raise McukitError("model-too-large", message, where=_WHERE)
    return write_root(model_record(model), FILE_IDENTIFIER)


def model_record(model: Model) -> ModelRecord:
    """The tables of the file for `model`, which isn't checked here."""
    index_by_code = {code: index for index, code in enumerate(model.operator_codes)}
    return ModelRecord(
        version=model.version,
        operator_codes=tuple(map(_code_record, index_by_code)),
        subgraphs=tuple(_graph_record(graph, index_by_code) for graph in model.subgraphs),
        description=model.description,
        buffers=model.buffers,
        metadata=model.metadata,
    )


def _code_record(code: OperatorCode) -> OperatorCodeRecord:
    return OperatorCodeRecord(
        deprecated_builtin_code=min(code.builtin, LAST_SMALL_CODE),
        custom_code=code.custom_code,
        version=code.version,
        builtin_code=code.builtin,
    )


def _graph_record(graph: SubGraph, index_by_code: Mapping[OperatorCode, int]) -> SubGraphRecord:
    return SubGraphRecord(
        tensors=graph.tensors,
        inputs=graph.inputs,
        outputs=graph.outputs,
        operators=tuple(_operator_record(operator, index_by_code[operator.code]) for operator in graph.operators),
        name=graph.name,
    )


def _operator_record(operator: Operator, opcode_index: int) -> OperatorRecord:
    if operator.has_unread_options:
        raise McukitError(
            "unsupported-model",
            f"the options of the operator {operator.name} weren't decoded, so it can't be written",
            where=_WHERE,
        )
    return OperatorRecord(
        opcode_index=opcode_index,
        inputs=operator.inputs,
        outputs=operator.outputs,
        options_type=0 if operator.options is None else OPTIONS_IDS[type(operator.options)],
        options=operator.options,
        custom_options=operator.custom_options,
    )

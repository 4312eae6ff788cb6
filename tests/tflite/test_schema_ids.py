# SPDX-License-Identifier: Apache-2.0
"""The declared slots, types, defaults and ids are those of the schema that LiteRT has generated code for."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from mcukit.tflite import enums, options, records, schema
from mcukit.tflite.slots import Scalar, Slot, refused_slots, slots_of

generated: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

TABLES: list[tuple[type[Any], str]] = [
    (records.ModelRecord, "Model"),
    (records.OperatorCodeRecord, "OperatorCode"),
    (records.OperatorRecord, "Operator"),
    (records.SubGraphRecord, "SubGraph"),
    (schema.Buffer, "Buffer"),
    (schema.Metadata, "Metadata"),
    (schema.QuantizationParameters, "QuantizationParameters"),
    (schema.Tensor, "Tensor"),
    *((table, table.__name__) for table in options.OPTIONS_BY_ID.values()),
]
NAMES = {
    "activation": "FusedActivationFunction",
    "dilation_h": "DilationHFactor",
    "dilation_w": "DilationWFactor",
    "filter_h": "FilterHeight",
    "filter_w": "FilterWidth",
    "options": "BuiltinOptions",
    "options_2_type": "BuiltinOptions2Type",
    "options_type": "BuiltinOptionsType",
}
METHODS = {
    "B": {"PrependUint8Slot", "PrependBoolSlot"},
    "I": {"PrependUint32Slot"},
    "b": {"PrependInt8Slot"},
    "f": {"PrependFloat32Slot"},
    "i": {"PrependInt32Slot"},
}
REFUSED = {
    ("Buffer", 1): "Offset",
    ("Model", 9): "ExternalBuffers",
    ("Operator", 9): "LargeCustomOptionsOffset",
    ("QuantizationParameters", 5): "Details",
    ("Tensor", 6): "Sparsity",
    ("Tensor", 10): "ExternalBuffer",
}


class Recorder:
    """A builder that notes what the generated code asks it to write."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, object]] = []

    def __getattr__(self, method: str) -> Any:
        return lambda slot, value, default: self.calls.append((method, slot, default))


def generated_slot(table: str, field: str) -> tuple[str, int, object]:
    """(method, slot number, default) with which the generated code writes a field."""
    recorder = Recorder()
    getattr(generated, f"{table}Add{field}")(recorder, 0)
    return recorder.calls[0]


def camel(slot: Slot) -> str:
    return NAMES.get(slot.name) or "".join(part.capitalize() for part in slot.name.split("_"))


@pytest.mark.parametrize(("table", "name"), TABLES, ids=[name for _, name in TABLES])
def test_slots(table: type[Any], name: str) -> None:
    for slot in slots_of(table):
        method, number, default = generated_slot(name, camel(slot))
        assert slot.number == number, slot.name
        if isinstance(slot.kind, Scalar):
            assert method in METHODS[slot.kind.code], slot.name
            assert slot.absent == default, slot.name
        else:
            assert method == "PrependUOffsetTRelativeSlot", slot.name


def test_refused_slots() -> None:
    declared = {(name, number) for table, name in TABLES for number in refused_slots(table)}
    assert declared == set(REFUSED)
    for (name, number), field in REFUSED.items():
        assert generated_slot(name, field)[1] == number


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (enums.ActivationFunctionType, "ActivationFunctionType"),
        (enums.BuiltinOperator, "BuiltinOperator"),
        (enums.FullyConnectedWeightsFormat, "FullyConnectedOptionsWeightsFormat"),
        (enums.Padding, "Padding"),
        (enums.TensorType, "TensorType"),
    ],
)
def test_enumerations(ours: type[IntEnum], theirs: str) -> None:
    members = {name: value for name, value in vars(getattr(generated, theirs)).items() if name[0] != "_"}
    assert {member.name: member.value for member in ours} == members


def test_option_ids() -> None:
    for number, table in options.OPTIONS_BY_ID.items():
        assert getattr(generated.BuiltinOptions, table.__name__) == number
    assert set(options.OPTIONS_BY_OPERATOR.values()) == set(options.OPTIONS_BY_ID.values())

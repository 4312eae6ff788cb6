# SPDX-License-Identifier: Apache-2.0
"""Writes declared tables (see `slots`) into a flatbuffer. Equal tables give equal bytes."""

from __future__ import annotations

__all__ = ["write_root"]

import math
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from flatbuffers import number_types

from mcukit.errors import McukitError
from mcukit.tflite.slots import Bytes, Scalar, Scalars, Slot, SubTable, Tables, Text, Union, slots_of

_FLAGS = {
    "B": number_types.Uint8Flags,
    "I": number_types.Uint32Flags,
    "b": number_types.Int8Flags,
    "f": number_types.Float32Flags,
    "i": number_types.Int32Flags,
}


def write_root(record: object, file_identifier: bytes) -> bytes:
    """A flatbuffer whose root is `record`. Raises McukitError "invalid-model" for meaningless numbers."""
    builder = flatbuffers.Builder(1 << 16)
    root = _table(builder, record)
    builder.Finish(root, file_identifier)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, record: Any) -> int:
    """Writes what `record` refers to, then `record`, as tables can't be nested. Its offset."""
    slots = slots_of(type(record))
    offsets = {slot.number: _referred(builder, getattr(record, slot.name), slot) for slot in slots}
    builder.StartObject(1 + max((slot.number for slot in slots), default=-1))
    for slot in slots:
        if isinstance(slot.kind, Scalar):
            _scalar(builder, getattr(record, slot.name), slot, slot.kind)
        else:
            builder.PrependUOffsetTRelativeSlot(slot.number, offsets[slot.number], 0)
    offset: int = builder.EndObject()
    return offset


def _scalar(builder: flatbuffers.Builder, value: Any, slot: Slot, kind: Scalar) -> None:
    if kind.minimum is not None and value < kind.minimum:
        raise McukitError("invalid-model", f"{slot.name} is {value}; the least that makes sense is {kind.minimum}")
    if isinstance(value, float) and not math.isfinite(value):
        raise McukitError("invalid-model", f"{slot.name} is {value}, which isn't a finite number")
    flags = _FLAGS[kind.code]
    builder.PrependSlot(flags, slot.number, flags.py_type(value), slot.absent)


def _referred(builder: flatbuffers.Builder, value: Any, slot: Slot) -> int:
    """The offset of what stands outside of the table for a field; 0 if that is nothing."""
    offset: int = 0
    match slot.kind:
        case Text() if value:
            offset = builder.CreateString(value)
        case Bytes(alignment) if len(value):
            # What CreateByteVector adds itself keeps this alignment, a multiple of its own.
            builder.Prep(alignment, len(value))
            offset = builder.CreateByteVector(bytes(value))
        case Scalars(dtype, always) if always or value:
            offset = builder.CreateNumpyVector(np.array(value, dtype))
        case SubTable() | Union() if value is not None:
            offset = _table(builder, value)
        case Tables():
            children = [_table(builder, record) for record in value]
            builder.StartVector(4, len(children), 4)
            for child in reversed(children):
                builder.PrependUOffsetTRelative(child)
            offset = builder.EndVector()
    return offset

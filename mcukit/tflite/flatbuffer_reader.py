# SPDX-License-Identifier: Apache-2.0
"""Reads declared tables (see `slots`) out of a flatbuffer that nobody vouches for.

Every position is checked before it is used, so that a damaged or malicious file leads to a McukitError and
nothing else. Offsets may make parts of a file overlap, which would let a few bytes stand for an unbounded
amount of data. The reader therefore counts the bytes that it has decoded and stops when they exceed a small
multiple of the file. The declared tables don't contain themselves, so following offsets ends without further
care.
"""

from __future__ import annotations

__all__ = ["FlatbufferReader"]

import math
import struct
from typing import Any, TypeVar

import numpy as np

from mcukit.errors import McukitError
from mcukit.tflite.slots import (
    Bytes,
    Scalar,
    Scalars,
    Slot,
    SubTable,
    Tables,
    Text,
    Union,
    refused_slots,
    slots_of,
)

T = TypeVar("T")

OFFSET_BYTES = 4
OVERLAP_LIMIT = 8
"""How often a file's bytes may be decoded. Writers that share equal strings and vectors stay far below."""

_SOURCE_HINT = "get the file again from where it comes from, or convert the model again"


class FlatbufferReader:
    """Decodes tables of one file. `where` names the file in errors."""

    def __init__(self, data: bytes | memoryview, where: str) -> None:
        self._data = memoryview(data).toreadonly().cast("B")
        self._where = where
        self._budget = OVERLAP_LIMIT * len(self._data)
        self._path: list[str] = []

    def root(self, table: type[T]) -> T:
        """The table that the first offset of the file refers to, as the dataclass `table`."""
        return self._table(self._follow(0), table)

    def _place(self) -> str:
        return f"{self._where}: {'.'.join(self._path)}" if self._path else self._where

    def _invalid(self, message: str) -> McukitError:
        return McukitError("invalid-model", message, where=self._place(), hint=_SOURCE_HINT)

    def _claim(self, start: int, size: int) -> None:
        """Checks that `size` bytes from `start` are in the file, before anything reads or allocates them."""
        end = start + size
        if start < 0 or end > len(self._data):
            message = f"the file has {len(self._data)} bytes, but this part of it would end at byte {end}"
            raise McukitError(
                "truncated-model",
                f"{message}: it is cut short or damaged",
                where=self._place(),
                hint=_SOURCE_HINT,
            )
        # A part costs at least an offset's worth: empty parts must not be free.
        self._budget -= max(size, OFFSET_BYTES)
        if self._budget < 0:
            raise self._invalid("parts of the file overlap each other so often that it can't be a model")

    def _number(self, code: str, position: int) -> Any:
        self._claim(position, struct.calcsize(code))
        return struct.unpack_from("<" + code, self._data, position)[0]

    def _follow(self, position: int) -> int:
        """The position that the offset at `position` refers to."""
        offset: int = self._number("I", position)
        if offset == 0:
            raise self._invalid(f"the offset at byte {position} refers to itself")
        return position + offset

    def _vector(self, position: int, element_bytes: int) -> tuple[int, int]:
        """The position of the first element and the length of the vector that an offset refers to."""
        start = self._follow(position)
        count: int = self._number("I", start)
        self._claim(start + OFFSET_BYTES, count * element_bytes)
        return start + OFFSET_BYTES, count

    def _fields(self, position: int) -> dict[int, int]:
        """Where the fields of the table at `position` stand: absolute positions by slot number."""
        vtable = position - self._number("i", position)
        vtable_bytes: int = self._number("H", vtable)
        table_bytes: int = self._number("H", vtable + 2)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < OFFSET_BYTES:
            raise self._invalid(f"the table at byte {position} has an impossible layout")
        self._claim(vtable, vtable_bytes)
        self._claim(position, table_bytes)
        offsets = struct.unpack_from(f"<{vtable_bytes // 2 - 2}H", self._data, vtable + 4)
        if any(offset >= table_bytes for offset in offsets):
            raise self._invalid(f"the table at byte {position} has a field outside of it")
        return {slot: position + offset for slot, offset in enumerate(offsets) if offset}

    def _table(self, position: int, table: type[T]) -> T:
        present = self._fields(position)
        declared: type[Any] = table
        for number, what in refused_slots(declared).items():
            if number in present and self._number("I", present[number]) != 0:
                raise McukitError(
                    "unsupported-model",
                    f"the file has {what}, which isn't supported",
                    where=self._place(),
                    hint="convert the model again, with dense constants in the file itself",
                )
        values: dict[str, Any] = {}
        for slot in slots_of(declared):
            self._path.append(slot.name)
            values[slot.name] = self._value(present, slot)
            self._path.pop()
        return table(**values)

    def _value(self, present: dict[int, int], slot: Slot) -> Any:
        position = present.get(slot.number)
        if position is None:
            return slot.absent
        match slot.kind:
            case Scalar() as kind:
                return self._scalar(position, kind)
            case Text():
                return str(self._byte_vector(position), "utf-8", "replace")
            case Bytes():
                return self._byte_vector(position)
            case Scalars(dtype, _):
                return self._scalars(position, np.dtype(dtype))
            case SubTable(table):
                return self._table(self._follow(position), table)
            case Tables(table):
                return self._tables(position, table)
            case Union(table_by_id):
                type_position = present.get(slot.number - 1)
                table_or_none = None if type_position is None else table_by_id.get(self._number("B", type_position))
                return None if table_or_none is None else self._table(self._follow(position), table_or_none)

    def _scalar(self, position: int, kind: Scalar) -> Any:
        number = self._number(kind.code, position)
        if isinstance(number, float) and not math.isfinite(number):
            raise self._invalid(f"the value is {number}")
        if kind.minimum is not None and number < kind.minimum:
            raise self._invalid(f"the value is {number}; the least that makes sense is {kind.minimum}")
        try:
            return kind.convert(number)
        except ValueError:
            raise self._invalid(f"the schema has no value {number} here") from None

    def _byte_vector(self, position: int) -> memoryview:
        start, count = self._vector(position, 1)
        return self._data[start : start + count]

    def _scalars(self, position: int, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        start, count = self._vector(position, dtype.itemsize)
        return tuple(np.frombuffer(self._data, dtype, count, start).tolist())

    def _tables(self, position: int, table: type[Any]) -> tuple[Any, ...]:
        start, count = self._vector(position, OFFSET_BYTES)
        result = []
        for index in range(count):
            self._path.append(str(index))
            result.append(self._table(self._follow(start + OFFSET_BYTES * index), table))
            self._path.pop()
        return tuple(result)

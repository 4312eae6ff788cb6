# SPDX-License-Identifier: Apache-2.0
"""How a dataclass says where its fields stand in a flatbuffer table.

A table of the TFLite schema is a frozen dataclass whose fields are declared with the functions below:

    @dataclass(frozen=True)
    class SoftmaxOptions:
        beta: float = float32(0, default=1.0, absent=0.0)

Each gives the field's slot in the table, its kind and what its absence from a file means. `flatbuffer_reader`
and `flatbuffer_writer` work from these declarations alone. A field has two defaults that need not be equal:
`default` is what Python code gets that doesn't set it, `absent` is what the schema says for a file that
doesn't hold it.

A table whose meaning hangs on a field that mcukit can't decode names that slot in its class variable
`REFUSED` (slot number to a description of what the file has there): reading such a file fails instead of
misreading it.
"""

from __future__ import annotations

__all__ = [
    "Bytes",
    "Kind",
    "Scalar",
    "Scalars",
    "Slot",
    "SubTable",
    "Tables",
    "Text",
    "Union",
    "bit",
    "byte_vector",
    "enumeration",
    "float32",
    "float32_vector",
    "int8",
    "int32",
    "int32_vector",
    "int64_vector",
    "refused_slots",
    "slots_of",
    "sub_table",
    "tables",
    "text",
    "uint8",
    "uint32",
    "union",
]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=IntEnum)


@dataclass(frozen=True)
class Scalar:
    """One number of struct code `code`; `convert` makes it a Python value, `minimum` is the least valid."""

    code: str
    convert: Callable[[Any], Any]
    minimum: int | None = None


@dataclass(frozen=True)
class Text:
    """A UTF-8 string."""


@dataclass(frozen=True)
class Bytes:
    """A vector of bytes whose first byte stands at a multiple of `alignment` in the file."""

    alignment: int


@dataclass(frozen=True)
class Scalars:
    """A vector of numbers of NumPy type `dtype`, in Python a tuple. `always`: written even if empty."""

    dtype: str
    always: bool


@dataclass(frozen=True)
class SubTable:
    """Another table or None."""

    table: type[Any]


@dataclass(frozen=True)
class Tables:
    """A vector of tables, in Python a tuple. Always written, even if empty."""

    table: type[Any]


@dataclass(frozen=True)
class Union:
    """A table of one of several types, whose type's id stands in the slot before; None for ids not listed."""

    table_by_id: Mapping[int, type[Any]]


Kind = Scalar | Text | Bytes | Scalars | SubTable | Tables | Union


@dataclass(frozen=True)
class Slot:
    """A field's place and kind in its table."""

    name: str
    number: int
    kind: Kind
    absent: Any


def refused_slots(table: type[Any]) -> Mapping[int, str]:
    """The slots of `table` that have to be empty, with what the file holds if they aren't."""
    refused: Mapping[int, str] = getattr(table, "REFUSED", {})
    return refused


def slots_of(table: type[Any]) -> tuple[Slot, ...]:
    """The declared slots of the dataclass `table`, in the order of their declaration."""
    if table not in _SLOTS:
        _SLOTS[table] = tuple(Slot(declared.name, *declared.metadata["slot"]) for declared in fields(table))
    return _SLOTS[table]


_SLOTS: dict[type[Any], tuple[Slot, ...]] = {}


# The declarations return what dataclasses.field does, which type checkers know as the field's own type.


def _declare(number: int, kind: Kind, default: object, absent: object) -> Any:
    return field(default=default, metadata={"slot": (number, kind, absent)})


def bit(number: int, *, default: bool = False, absent: bool = False) -> bool:
    declared: bool = _declare(number, Scalar("B", bool), default, absent)
    return declared


def int32(number: int, *, default: int = 0, absent: int = 0, minimum: int | None = None) -> int:
    declared: int = _declare(number, Scalar("i", int, minimum), default, absent)
    return declared


def uint32(number: int, *, default: int = 0, absent: int = 0) -> int:
    declared: int = _declare(number, Scalar("I", int), default, absent)
    return declared


def int8(number: int, *, default: int = 0, absent: int = 0) -> int:
    declared: int = _declare(number, Scalar("b", int), default, absent)
    return declared


def uint8(number: int, *, default: int = 0, absent: int = 0) -> int:
    declared: int = _declare(number, Scalar("B", int), default, absent)
    return declared


def float32(number: int, *, default: float = 0.0, absent: float = 0.0) -> float:
    declared: float = _declare(number, Scalar("f", float), default, absent)
    return declared


def enumeration(number: int, default: E, *, code: str = "b") -> E:
    """An enumeration stored as a number of struct code `code`; absence means its member 0."""
    declared: E = _declare(number, Scalar(code, type(default)), default, type(default)(0))
    return declared


def text(number: int) -> str:
    declared: str = _declare(number, Text(), "", "")
    return declared


def byte_vector(number: int, *, alignment: int) -> memoryview | bytes:
    declared: memoryview | bytes = _declare(number, Bytes(alignment), b"", b"")
    return declared


def int32_vector(number: int, *, always: bool = False) -> tuple[int, ...]:
    declared: tuple[int, ...] = _declare(number, Scalars("<i4", always), (), ())
    return declared


def int64_vector(number: int) -> tuple[int, ...]:
    declared: tuple[int, ...] = _declare(number, Scalars("<i8", False), (), ())
    return declared


def float32_vector(number: int) -> tuple[float, ...]:
    declared: tuple[float, ...] = _declare(number, Scalars("<f4", False), (), ())
    return declared


def sub_table(number: int, table: type[Any]) -> Any:
    return _declare(number, SubTable(table), None, None)


def tables(number: int, table: type[Any]) -> Any:
    return _declare(number, Tables(table), (), ())


def union(number: int, table_by_id: Mapping[int, type[Any]]) -> Any:
    """A union whose type id stands in slot `number` - 1."""
    return _declare(number, Union(table_by_id), None, None)

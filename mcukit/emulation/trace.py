# SPDX-License-Identifier: Apache-2.0
"""Reads the rows that layers computed and puts the feature maps together again."""

from __future__ import annotations

__all__ = ["TraceRecord", "TracedMap", "assemble_maps", "parse_trace", "read_trace"]

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcukit.errors import McukitError

_HEADER = struct.Struct("<9I")


@dataclass(frozen=True)
class TraceRecord:
    """Rows [first_row, last_row) of a layer's output map, as computed in one go.

    data holds the columns [first_column, first_column + columns) of each row, one row after the other.
    height, width: of the whole map, in rows and columns.
    """

    input_index: int
    layer: int
    first_row: int
    last_row: int
    first_column: int
    columns: int
    height: int
    width: int
    data: bytes

    @property
    def column_bytes(self) -> int:
        """Bytes of one column of a row; 0 if columns of a packed map don't begin at whole bytes."""
        rows = self.last_row - self.first_row
        if rows and self.columns and len(self.data) % (rows * self.columns) == 0:
            return len(self.data) // (rows * self.columns)
        return 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of the whole map."""
        if self.columns == self.width:
            return len(self.data) // (self.last_row - self.first_row)
        return self.column_bytes * self.width


@dataclass(frozen=True)
class TracedMap:
    """A feature map as the program left it.

    data: (height, row_bytes) bytes. computed: same shape, True where the program computed the byte; a
    schedule may leave out rows that nobody reads, and those bytes are 0.
    """

    data: NDArray[np.uint8]
    computed: NDArray[np.bool_]


def read_trace(path: Path) -> list[TraceRecord]:
    """The records of a trace file. Raises McukitError "bad-trace" if it ends early or contradicts itself."""
    return parse_trace(path.read_bytes())


def parse_trace(content: bytes) -> list[TraceRecord]:
    """The records of a trace. Raises McukitError "bad-trace" if it ends early or contradicts itself."""
    records = []
    position = 0
    while position < len(content):
        if position + _HEADER.size > len(content):
            raise _bad_trace("a record's header is cut off")
        index, layer, first_row, last_row, first_column, columns, height, width, size = _HEADER.unpack_from(
            content, position
        )
        position += _HEADER.size
        if position + size > len(content):
            raise _bad_trace("a record's rows are cut off")
        data = content[position : position + size]
        record = TraceRecord(index, layer, first_row, last_row, first_column, columns, height, width, data)
        _check(record)
        records.append(record)
        position += size
    return records


def assemble_maps(records: Iterable[TraceRecord]) -> dict[tuple[int, int], TracedMap]:
    """The map of each (input index, layer), from all records of its rows and tiles.

    Raises McukitError "bad-trace" where a map changes its shape, or where a tile that computes a byte again, as halos
    are, comes to another result.
    """
    maps: dict[tuple[int, int], TracedMap] = {}
    for record in records:
        if record.first_row == record.last_row:
            continue
        shape = (record.height, record.row_bytes)
        key = (record.input_index, record.layer)
        if key not in maps:
            maps[key] = TracedMap(np.zeros(shape, np.uint8), np.zeros(shape, np.bool_))
        if maps[key].data.shape != shape:
            raise _bad_trace(f"the map of layer {record.layer} changes its shape or its bits")
        rows = slice(record.first_row, record.last_row)
        first = record.first_column * record.column_bytes
        held = len(record.data) // (record.last_row - record.first_row)
        place = rows, slice(first, first + held)
        data = np.frombuffer(record.data, np.uint8).reshape(-1, held)
        differing = maps[key].computed[place] & (maps[key].data[place] != data)
        if differing.any():
            raise _contradiction(record, differing)
        maps[key].data[place] = data
        maps[key].computed[place] = True
    return maps


def _contradiction(record: TraceRecord, differing: NDArray[np.bool_]) -> McukitError:
    """differing: where the bytes of the record are not those that were there before."""
    row, byte = (int(index) for index in np.argwhere(differing)[0])
    column = record.first_column + byte * record.columns // differing.shape[1]
    return McukitError(
        "bad-trace",
        f"layer {record.layer} computed row {record.first_row + row}, column {column} twice, with different results",
        hint="a tile was computed from rows or columns that were not there yet or no longer",
    )


def _check(record: TraceRecord) -> None:
    rows = record.last_row - record.first_row
    if rows < 0 or record.last_row > record.height or record.first_column + record.columns > record.width:
        raise _bad_trace(f"layer {record.layer} computed rows or columns outside of its map")
    if rows and (record.columns == 0 or len(record.data) % rows):
        raise _bad_trace(f"layer {record.layer} computed rows of no size")
    if rows and record.columns != record.width and record.column_bytes == 0:
        raise _bad_trace(f"a tile of layer {record.layer} doesn't hold whole bytes per column")


def _bad_trace(message: str) -> McukitError:
    return McukitError("bad-trace", message, hint="the generated code announces its rows wrongly")

# SPDX-License-Identifier: Apache-2.0
"""Tensors of a .tflite file that may lie on top of each other, because they hold the same bytes there.

A SLICE that cuts whole rows out of a map copies them; if its output lies exactly where these rows are, it copies bytes
onto themselves and needs no memory. So does a CONCATENATION of rows whose operands were computed where it puts them.

What this relies on: an interpreter runs one operator after the other, takes the offsets of a memory plan as they are,
and its SLICE and CONCATENATION write nothing to their output but, to each byte, the byte of the input that belongs
there. TensorFlow Lite Micro's do: the first copies element by element, the second with memcpy. The order in which a
kernel reads and writes does not matter: no other operator's output shares a byte with what it reads.
"""

from __future__ import annotations

__all__ = ["ROWS_AXIS", "TensorGroup", "tensor_bytes", "tensor_groups"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mcukit.planning.lifetimes import BufferNeed, Cells
from mcukit.tflite import schema
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.options import ConcatenationOptions

Numbers = npt.NDArray[np.int64]

ROWS_AXIS = 1
"""The axis of rows in a tensor of rank 4."""

_BEFORE = -1
"""When the application writes the input: before the first operator."""

_MOST_PAIRS = 1 << 22
"""Pairs of rows that are compared before two groups become one; for taller maps a copy is made instead."""


@dataclass(frozen=True, eq=False)
class TensorGroup:
    """Tensors at fixed distances from each other. offsets: where each begins, in blocks, by its index."""

    offsets: Mapping[int, int]
    need: BufferNeed


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of tensors: bytes [start, end), in use from operator `born` to operator `dies`.

    values: equal numbers are equal bytes.
    """

    start: Numbers
    end: Numbers
    born: Numbers
    dies: Numbers
    values: Numbers

    def moved(self, distance: int) -> _Rows:
        return _Rows(self.start + distance, self.end + distance, self.born, self.dies, self.values)

    def beside(self, other: _Rows) -> _Rows:
        """All rows of both; a row that both have at the same place is in use as long as in either."""
        pairs = zip(_columns(self), _columns(other), strict=True)
        start, end, born, dies, values = (np.concatenate(pair) for pair in pairs)
        places, which = np.unique(np.stack([start, values]), axis=1, return_inverse=True)
        count = places.shape[1]
        first, last, ends = (np.full(count, np.iinfo(np.int64).max), np.full(count, _BEFORE), np.zeros(count, np.int64))
        np.minimum.at(first, which.ravel(), born)
        np.maximum.at(last, which.ravel(), dies)
        ends[which.ravel()] = end
        return _Rows(places[0], ends, first, last, places[1])

    def collides(self, other: _Rows) -> bool:
        """Whether bytes that differ would be in use at the same place at the same time."""
        together = (self.born[:, None] <= other.dies) & (other.born <= self.dies[:, None])
        overlap = (self.start[:, None] < other.end) & (other.start < self.end[:, None])
        same = (self.start[:, None] == other.start) & (self.values[:, None] == other.values)
        return bool((together & overlap & ~same).any())


class _Copy(NamedTuple):
    """`part` has the bytes that `whole` has from `distance` on."""

    whole: int
    part: int
    distance: int


def tensor_groups(model: schema.Model, block: int) -> list[TensorGroup]:
    """The input and all tensors that are computed, with the rows that are in use while each operator runs.

    block: bytes that count as one, parts of blocks as a whole one. Tensors begin at multiples of it.
    """
    graph = model.main
    born = dict.fromkeys(graph.inputs, _BEFORE)
    born |= {index: tick for tick, operator in enumerate(graph.operators) for index in operator.outputs}
    values = _values(model, born)
    dies = _last_read(model, born)
    group_of = {index: index for index in born}
    offsets = {index: {index: 0} for index in born}
    rows = {index: _rows(graph.tensors[index], tick, dies[index], values[index]) for index, tick in born.items()}
    for copy in (*_copies(model, BuiltinOperator.CONCATENATION), *_copies(model, BuiltinOperator.SLICE)):
        if copy.whole not in group_of or copy.part not in group_of or copy.distance % block:
            continue
        target, joining = group_of[copy.whole], group_of[copy.part]
        distance = offsets[target][copy.whole] + copy.distance - offsets[joining][copy.part]
        if target == joining or len(rows[target].start) * len(rows[joining].start) > _MOST_PAIRS:
            continue
        moved = rows[joining].moved(distance)
        if rows[target].collides(moved):
            continue
        rows[target] = rows[target].beside(moved)
        for index, offset in offsets.pop(joining).items():
            offsets[target][index] = offset + distance
            group_of[index] = target
        del rows[joining]
    return [_group(model, offsets[index], rows[index], block) for index in offsets]


def _group(model: schema.Model, offsets: Mapping[int, int], rows: _Rows, block: int) -> TensorGroup:
    least = min(offsets.values())
    start, end = (rows.start - least) // block, -(-(rows.end - least) // block)
    names = tuple(model.main.tensors[index].name for index in offsets)
    cells = Cells(start, end, rows.born, rows.dies)
    size = max(
        (offset - least + tensor_bytes(model.main.tensors[index]) for index, offset in offsets.items()), default=0
    )
    placed = {index: (offset - least) // block for index, offset in offsets.items()}
    return TensorGroup(placed, BufferNeed(names, False, -(-size // block), 0, 0, cells, 0.0))


def _columns(rows: _Rows) -> tuple[Numbers, ...]:
    return rows.start, rows.end, rows.born, rows.dies, rows.values


def _rows(tensor: schema.Tensor, born: int, dies: Numbers, values: Numbers) -> _Rows:
    count = len(dies)
    start = np.arange(count, dtype=np.int64) * (tensor_bytes(tensor) // count)
    return _Rows(start, start + tensor_bytes(tensor) // count, np.full(count, born, np.int64), dies, values)


def _row_count(tensor: schema.Tensor) -> int:
    return tensor.shape[ROWS_AXIS] if len(tensor.shape) == 4 and tensor.shape[0] == 1 else 1


def tensor_bytes(tensor: schema.Tensor) -> int:
    """Raises ValueError for types whose values have no size of their own."""
    bits = tensor.type.bits
    if bits is None:
        raise ValueError(f"the tensor '{tensor.name}' has no size")
    return -(-tensor.elements * bits // 8)


def _values(model: schema.Model, born: Mapping[int, int]) -> dict[int, Numbers]:
    """A number for the bytes of every row, the same for copies."""
    graph = model.main
    values: dict[int, Numbers] = {}
    count = 0
    copied: dict[int, list[_Copy]] = {}
    for copy in (*_copies(model, BuiltinOperator.CONCATENATION), *_copies(model, BuiltinOperator.SLICE)):
        copied.setdefault(max(copy.whole, copy.part, key=lambda index: born.get(index, _BEFORE)), []).append(copy)
    for index in born:
        rows = _row_count(graph.tensors[index])
        values[index] = np.arange(count, count + rows)
        count += rows
        row_bytes = tensor_bytes(graph.tensors[index]) // rows
        for copy in copied.get(index, []):
            first = copy.distance // row_bytes
            if copy.whole == index and copy.part in values:
                values[index][first : first + len(values[copy.part])] = values[copy.part]
            elif copy.part == index and copy.whole in values:
                values[index][:] = values[copy.whole][first : first + rows]
    return values


def _last_read(model: schema.Model, born: Mapping[int, int]) -> dict[int, Numbers]:
    """The last operator that reads each row; the one that writes it where none does."""
    graph = model.main
    dies = {index: np.full(_row_count(graph.tensors[index]), tick, np.int64) for index, tick in born.items()}
    for tick, operator in enumerate(graph.operators):
        for position, index in enumerate(operator.inputs):
            if index in dies:
                first, last = _rows_read(model, operator, position)
                dies[index][first:last] = tick
    for index in graph.outputs:
        dies[index][:] = len(graph.operators)
    return dies


def _rows_read(model: schema.Model, operator: schema.Operator, position: int) -> tuple[int, int]:
    """Rows [first, last) of the input `position` that the operator reads."""
    tensor = model.main.tensors[operator.inputs[position]]
    rows = _row_count(tensor)
    bounds = _bounds(model, operator) if operator.builtin is BuiltinOperator.SLICE and position == 0 else None
    if bounds is None or rows == 1:
        return 0, rows
    begin, size = bounds
    return begin[ROWS_AXIS], begin[ROWS_AXIS] + size[ROWS_AXIS]


def _bounds(model: schema.Model, operator: schema.Operator) -> tuple[list[int], list[int]] | None:
    """Where a SLICE begins and its size, if these are constants and all positive."""
    begin, size = (model.constant(index) for index in operator.inputs[1:3])
    if begin is None or size is None or len(begin) != 4 or int(size.min()) < 1:
        return None
    return begin.tolist(), size.tolist()


def _copies(model: schema.Model, builtin: BuiltinOperator) -> Iterator[_Copy]:
    """Rows of whole maps that operators of this kind cut out or put together."""
    graph = model.main
    for operator in graph.operators:
        if operator.builtin is not builtin:
            continue
        output = graph.tensors[operator.outputs[0]]
        if builtin is BuiltinOperator.SLICE:
            source, bounds = graph.tensors[operator.inputs[0]], _bounds(model, operator)
            if bounds is not None and _in_rows(source) and bounds[1][2:] == list(source.shape[2:]):
                distance = bounds[0][ROWS_AXIS] * (tensor_bytes(source) // source.shape[ROWS_AXIS])
                yield _Copy(operator.inputs[0], operator.outputs[0], distance)
        elif isinstance(operator.options, ConcatenationOptions) and operator.options.axis == ROWS_AXIS:
            distance = 0
            for index in operator.inputs if _in_rows(output) else ():
                yield _Copy(operator.outputs[0], index, distance)
                distance += tensor_bytes(graph.tensors[index])


def _in_rows(tensor: schema.Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[0] == 1

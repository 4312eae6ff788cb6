# SPDX-License-Identifier: Apache-2.0
"""Proves from a .tflite file alone that its memory plan is right, and what a patched file has to show."""

from __future__ import annotations

__all__ = ["assert_same_bytes_in_less", "plan_offsets", "prove_memory_plan"]

import numpy as np
import numpy.typing as npt

from mcukit.export.tflite import build_tflite
from mcukit.export.tflite_memory import METADATA_NAME
from mcukit.export.tflite_patches import build_patched_tflite
from mcukit.export.tflite_search import choose_patched_stages
from mcukit.quantized.integer import IntegerModel
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.micro import measure_arena, run_tflm
from mcukit.tflite.options import ConcatenationOptions
from mcukit.tflite.schema import Model, Operator
from mcukit.tflite.writer import write_tflite

Numbers = npt.NDArray[np.int64]


def assert_same_bytes_in_less(model: IntegerModel, inputs: npt.NDArray[np.int8], share: float) -> None:
    """The tiles that the search chooses: the bytes of the plain file, and an arena of at most `share` of its arena."""
    patched = build_patched_tflite(model, choose_patched_stages(model))
    prove_memory_plan(patched)
    plain, data = write_tflite(build_tflite(model.graph)), write_tflite(patched)
    for expected, found in zip(run_tflm(plain, inputs), run_tflm(data, inputs), strict=True):
        np.testing.assert_array_equal(expected, found, strict=True)
    assert measure_arena(data).total <= share * measure_arena(plain).total


def plan_offsets(model: Model) -> list[int]:
    """Where the file's memory plan puts each tensor; -1 for those that it leaves to the interpreter."""
    (entry,) = (entry for entry in model.metadata if entry.name == METADATA_NAME)
    return [int(value) for value in np.frombuffer(model.buffers[entry.buffer].data, "<i4")[3:]]


def prove_memory_plan(model: Model) -> None:
    """Runs the file on numbers that stand for bytes, all different but for copies, at the places of the plan.

    Fails where an operator would find other bytes than those that were written for it, and where one other than a copy
    would write to what it reads. A copy may write a byte onto itself, so that its order of reading and writing doesn't
    matter.
    """
    offsets, graph = plan_offsets(model), model.main
    memory = np.full(1 + max(offsets[i] + graph.tensors[i].elements for i in range(len(offsets))), -1, np.int64)
    values: dict[int, Numbers] = {}
    for index in graph.inputs:
        values[index] = np.arange(graph.tensors[index].elements).reshape(graph.tensors[index].shape)
        memory[_places(offsets[index], values[index])] = values[index].ravel()
    count = sum(each.size for each in values.values())
    for tick, operator in enumerate(graph.operators):
        read = np.zeros(len(memory), bool)
        for position, index in enumerate(operator.inputs):
            if index in values:
                used = _used(model, operator, position, values[index])
                places = _places(offsets[index], values[index])[used.ravel()]
                np.testing.assert_array_equal(memory[places], values[index][used], f"operator {tick} reads {index}")
                read[places] = True
        (output,) = operator.outputs
        shape = graph.tensors[output].shape
        copied = _copied(model, operator, values)
        values[output] = np.arange(count, count + int(np.prod(shape))).reshape(shape) if copied is None else copied
        count += values[output].size
        places = _places(offsets[output], values[output])
        onto = read[places]
        if copied is None:
            assert not onto.any(), f"operator {tick} writes to what it reads"
        np.testing.assert_array_equal(memory[places][onto], values[output].ravel()[onto], f"operator {tick} moves")
        memory[places] = values[output].ravel()
    for index in graph.outputs:
        np.testing.assert_array_equal(memory[_places(offsets[index], values[index])], values[index].ravel())


def _places(offset: int, values: Numbers) -> Numbers:
    assert offset >= 0
    assert offset % 16 == 0
    return offset + np.arange(values.size)


def _used(model: Model, operator: Operator, position: int, values: Numbers) -> npt.NDArray[np.bool_]:
    """What an operator reads of an input."""
    if operator.builtin is not BuiltinOperator.SLICE:
        return np.ones(values.shape, bool)
    assert position == 0
    used = np.zeros(values.shape, bool)
    used[_cut(model, operator)] = True
    return used


def _copied(model: Model, operator: Operator, values: dict[int, Numbers]) -> Numbers | None:
    """The numbers of an operator's output if it copies."""
    if operator.builtin is BuiltinOperator.SLICE:
        return values[operator.inputs[0]][_cut(model, operator)]
    if operator.builtin is BuiltinOperator.CONCATENATION and all(index in values for index in operator.inputs):
        assert isinstance(operator.options, ConcatenationOptions)
        return np.concatenate([values[index] for index in operator.inputs], operator.options.axis)
    return None


def _cut(model: Model, operator: Operator) -> tuple[slice, ...]:
    begin, size = (model.constant(index) for index in operator.inputs[1:])
    assert begin is not None
    assert size is not None
    return tuple(slice(first, first + extent) for first, extent in zip(begin.tolist(), size.tolist(), strict=True))

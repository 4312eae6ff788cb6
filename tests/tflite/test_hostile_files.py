# SPDX-License-Identifier: Apache-2.0
"""No file, however damaged or malicious, leads to anything but a model or a McukitError, and that soon."""

from __future__ import annotations

import dataclasses
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.tflite.enums import BuiltinOperator, TensorType
from mcukit.tflite.flatbuffer_writer import write_root
from mcukit.tflite.options import Pool2DOptions
from mcukit.tflite.reader import FILE_IDENTIFIER, read_tflite
from mcukit.tflite.schema import (
    Buffer,
    Metadata,
    Model,
    Operator,
    OperatorCode,
    QuantizationParameters,
    SubGraph,
    Tensor,
)
from mcukit.tflite.writer import model_record, write_tflite

NOT_A_MODEL = {"not-a-tflite-model"}
DAMAGED = {"not-a-tflite-model", "truncated-model", "invalid-model", "unsupported-model"}


def read_or_code(data: bytes) -> str:
    """The code of the error that reading `data` leads to; empty if it is a model."""
    try:
        model = read_tflite(data, "hostile")
    except McukitError as error:
        problem = error.problems[0]
        return problem.code if problem.where.startswith("hostile") else f"{problem.code} without a place"
    for index in range(len(model.main.tensors)):
        if model.main.tensors[index].type.dtype is not None:
            model.constant(index)
    return ""


def unchecked(model: Model) -> bytes:
    """The file of a model that `write_tflite` would refuse."""
    return write_root(model_record(model), FILE_IDENTIFIER)


def test_every_truncation_of_a_small_file(small_model: Model) -> None:
    data = write_tflite(small_model)
    codes = [read_or_code(data[:length]) for length in range(len(data))]
    assert set(codes[:5]) == NOT_A_MODEL
    assert set(codes[5:]) <= {"truncated-model", ""}
    # The file ends with padding behind the last string, whose loss doesn't matter.
    assert "" not in codes[:-4]


@pytest.mark.parametrize("name", ["vww/vww_96_int8.tflite", "resnet8/resnet8_int8.tflite"])
def test_truncations_of_real_files(name: str, real_models: Path) -> None:
    data = (real_models / name).read_bytes()
    lengths = np.linspace(0, len(data) - 1, 500).astype(int)
    assert {read_or_code(data[:length]) for length in lengths} <= {"not-a-tflite-model", "truncated-model"}


def test_flipped_bytes_of_a_small_file(small_model: Model) -> None:
    data = write_tflite(small_model)
    random = np.random.default_rng(20)
    seen = set()
    for _ in range(6000):
        damaged = bytearray(data)
        for position in random.integers(0, len(data), random.integers(1, 5)):
            damaged[position] = random.choice((0, 1, 4, 127, 128, 255, int(random.integers(256))))
        seen.add(read_or_code(bytes(damaged)))
    assert seen == DAMAGED | {""}


def test_flipped_bytes_of_a_real_file(real_models: Path) -> None:
    data = (real_models / "resnet8" / "resnet8_int8.tflite").read_bytes()
    random = np.random.default_rng(21)
    for _ in range(300):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[random.integers(0, len(data), 40)] = random.integers(0, 256, 40)
        assert read_or_code(damaged.tobytes()) in DAMAGED | {""}


@pytest.mark.parametrize(
    "data",
    [b"", b"TFL3", b"\x08\0\0\0", b"\x08\0\0\0TFL2" + bytes(64), b"\x89PNG\r\n\x1a\n" + bytes(64)],
    ids=["empty", "only the identifier", "only the root", "another version", "another format"],
)
def test_other_files(data: bytes) -> None:
    assert read_or_code(data) == "not-a-tflite-model"


@pytest.mark.parametrize(
    ("root", "code"),
    [
        (0, "invalid-model"),
        (1, "truncated-model"),
        (0x7FFFFFFF, "truncated-model"),
        (0xFFFFFFFF, "truncated-model"),
    ],
)
def test_root_offsets(root: int, code: str, small_model: Model) -> None:
    assert read_or_code(struct.pack("<I", root) + write_tflite(small_model)[4:]) == code


def test_a_table_whose_layout_is_itself() -> None:
    # The table at byte 8 says that its vtable is at byte 8 - 0.
    assert read_or_code(struct.pack("<I4sI", 8, b"TFL3", 0) + bytes(64)) == "invalid-model"


@pytest.mark.parametrize("count", [0x00FFFFFF, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_vector_lengths(count: int, small_model: Model) -> None:
    """Every number in the file that could be a vector's length is replaced by a huge one."""
    data = write_tflite(small_model)
    tracemalloc.start()
    for position in range(8, len(data) - 4, 4):
        read_or_code(data[:position] + struct.pack("<I", count) + data[position + 4 :])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_overlapping_tables_do_not_multiply() -> None:
    """3,000 times the same subgraph with 3,000 times the same tensor: 24 kB stand for 9 million tensors."""
    builder = flatbuffers.Builder(0)

    def references(offset: int) -> int:
        builder.StartVector(4, 3000, 4)
        for _ in range(3000):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    def table(slots: int, slot: int | None = None, offset: int = 0) -> int:
        builder.StartObject(slots)
        if slot is not None:
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return int(builder.EndObject())

    tensors = references(table(9))
    subgraphs = references(table(5, 0, tensors))
    builder.Finish(table(7, 2, subgraphs), FILE_IDENTIFIER)
    start = time.perf_counter()
    with pytest.raises(McukitError, match="overlap"):
        read_tflite(bytes(builder.Output()), "overlapping")
    assert time.perf_counter() - start < 5


def tensor(**changes: object) -> Callable[[Model], Model]:
    """A change of the convolution's weights."""

    def change(model: Model) -> Model:
        image, weights, output = model.main.tensors
        weights = dataclasses.replace(weights, **changes)  # type: ignore[arg-type]
        return graph(tensors=(image, weights, output))(model)

    return change


def graph(**changes: object) -> Callable[[Model], Model]:
    def change(model: Model) -> Model:
        return dataclasses.replace(
            model,
            subgraphs=(dataclasses.replace(model.main, **changes),),  # type: ignore[arg-type]
        )

    return change


def model_with(**changes: object) -> Callable[[Model], Model]:
    return lambda model: dataclasses.replace(model, **changes)  # type: ignore[arg-type]


def operator(*, inputs: tuple[int, ...] = (0, 1, -1), outputs: tuple[int, ...] = (2,)) -> Callable[[Model], Model]:
    code = OperatorCode(BuiltinOperator.CONV_2D)
    return graph(operators=(Operator(code, inputs, outputs),))


Affine = QuantizationParameters
CONTRADICTIONS: list[tuple[str, Callable[[Model], Model]]] = [
    ("input 0: refers to tensor 3, but there are 3", graph(inputs=(3,))),
    ("input 0: refers to tensor -1", graph(inputs=(-1,))),
    ("output 1: refers to tensor 9", graph(outputs=(2, 9))),
    ("operator 0 'CONV_2D': input refers to tensor 3", operator(inputs=(3,))),
    ("operator 0 'CONV_2D': input refers to tensor -2", operator(inputs=(-2,))),
    ("operator 0 'CONV_2D': output refers to tensor -1", operator(outputs=(-1,))),
    (
        "has Pool2DOptions instead of Conv2DOptions",
        graph(operators=(Operator(OperatorCode(BuiltinOperator.CONV_2D), (0,), (2,), Pool2DOptions()),)),
    ),
    (
        "has Pool2DOptions instead of no options",
        graph(operators=(Operator(OperatorCode(BuiltinOperator.TANH), (0,), (2,), Pool2DOptions()),)),
    ),
    ("tensor 1 'weights': refers to buffer 7, but there are 3", tensor(buffer=7)),
    ("which takes 16 bytes, but its buffer 1 has 18", tensor(shape=(2, 2, 2, 2), quantization=None)),
    ("which takes 72 bytes, but its buffer 1 has 18", tensor(type=TensorType.FLOAT32, quantization=None)),
    (r"has the shape \[2, -3, -3, 1\]", tensor(shape=(2, -3, -3, 1))),
    ("has 9 dimensions", tensor(shape=(1,) * 9)),
    ("more than an interpreter can hold", tensor(shape=(65536, 65536), buffer=0, quantization=None)),
    ("a shape signature of 1", tensor(shape_signature=(1,))),
    ("has 2 scales, but 1 zero points", tensor(quantization=Affine((1.0, 1.0), (0,)))),
    ("has 3 scales for the 2 indices of dimension 0", tensor(quantization=Affine((1.0,) * 3, (0,) * 3))),
    ("quantized along dimension 4, but has 4", tensor(quantization=Affine((1.0, 1.0), (0, 0), 4))),
    ("quantized along dimension -1", tensor(quantization=Affine((1.0, 1.0), (0, 0), -1))),
    ("has the scale 0.0", tensor(quantization=Affine((0.0,), (0,)))),
    ("has the scale -1.0", tensor(quantization=Affine((-1.0,), (0,)))),
    ("has the scale nan", tensor(quantization=Affine((float("nan"),), (0,)))),
    ("has the scale inf", tensor(quantization=Affine((1e300,), (0,)))),
    ("has the zero point 128, which INT8 can't hold", tensor(quantization=Affine((1.0,), (128,)))),
    ("has the zero point -129, which INT8 can't hold", tensor(quantization=Affine((1.0,), (-129,)))),
    ("metadata 0 'x': refers to buffer 3", model_with(metadata=(Metadata("x", 3),))),
    ("buffer 0 has 1 bytes", model_with(buffers=(Buffer(b"1"), Buffer(bytes(18)), Buffer()))),
    ("refers to buffer 0, but there are 0", model_with(buffers=(), metadata=())),
    ("the schema version is 4", model_with(version=4)),
    ("the model has no subgraph", model_with(subgraphs=())),
]


@pytest.mark.parametrize(("message", "change"), CONTRADICTIONS, ids=[message for message, _ in CONTRADICTIONS])
def test_contradictions(message: str, change: Callable[[Model], Model], small_model: Model) -> None:
    """Refused in a file and, with the same words, in a model to be written."""
    model = change(small_model)
    with pytest.raises(McukitError, match=message) as read:
        read_tflite(unchecked(model), "contradiction")
    with pytest.raises(McukitError, match=message):
        write_tflite(model)
    assert {problem.code for problem in read.value.problems} == {"invalid-model"}


def test_problems_are_reported_together_but_not_endlessly() -> None:
    tensors = tuple(Tensor("\x1b[31m" + "n" * 1000, (1,), TensorType.INT8, 5) for _ in range(1000))
    with pytest.raises(McukitError) as caught:
        write_tflite(Model((SubGraph(tensors, (), (), ()),)))
    assert len(caught.value.problems) == 20
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 5000


def test_too_large_to_write(monkeypatch: pytest.MonkeyPatch, small_model: Model) -> None:
    monkeypatch.setattr("mcukit.tflite.writer.MAX_CONSTANT_BYTES", 20)
    with pytest.raises(McukitError, match="take 34 bytes"):
        write_tflite(small_model)

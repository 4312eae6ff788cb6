# SPDX-License-Identifier: Apache-2.0
"""What is written is read back equal, and what is read can be written."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.tflite.enums import ActivationFunctionType, BuiltinOperator, Padding, TensorType
from mcukit.tflite.options import (
    OPTIONS_BY_OPERATOR,
    Conv2DOptions,
    LeakyReluOptions,
    Options,
    Pool2DOptions,
    SoftmaxOptions,
)
from mcukit.tflite.reader import read_tflite
from mcukit.tflite.schema import Buffer, Model, Operator, OperatorCode, QuantizationParameters
from mcukit.tflite.versions import INT8_VERSIONS, int8_code
from mcukit.tflite.writer import write_tflite

REAL_FILES = ["vww/vww_96_int8.tflite", "resnet8/resnet8_int8.tflite", "resnet8/resnet8_float.tflite"]


def with_operators(model: Model, *operators: Operator) -> Model:
    return dataclasses.replace(model, subgraphs=(dataclasses.replace(model.main, operators=operators),))


def other_value(value: Any) -> Any:
    """A valid value of an options field that isn't `value`."""
    match value:
        case bool():
            return not value
        case Padding():
            return Padding.VALID
        case ActivationFunctionType():
            return ActivationFunctionType.RELU6
        case int():
            return type(value)(1) if type(value) is not int else value + 1
        case float():
            return value + 0.1
        case tuple():
            return (3, -1, 2)
    raise AssertionError(f"a new kind of option: {value!r}")


def changed(table: type[Options]) -> Options:
    """Options that differ from the defaults in every field."""
    fields = dataclasses.fields(table)  # type: ignore[arg-type]
    return table(**{field.name: other_value(field.default) for field in fields})


def test_small_model(small_model: Model) -> None:
    data = write_tflite(small_model)
    assert read_tflite(data, "small") == small_model
    assert write_tflite(read_tflite(data, "small")) == data


@pytest.mark.parametrize("builtin", OPTIONS_BY_OPERATOR, ids=lambda builtin: builtin.name)
def test_options(builtin: BuiltinOperator, small_model: Model) -> None:
    table = OPTIONS_BY_OPERATOR[builtin]
    code = OperatorCode(builtin, 7)
    both = [Operator(code, (0, 1, -1), (2,), given) for given in (table(), changed(table), None)]
    model = with_operators(small_model, *both)
    assert read_tflite(write_tflite(model), "options") == model


@pytest.mark.parametrize("code", [126, 127, 128, 150, 209, 5000])
def test_codes_of_all_generations(code: int, small_model: Model) -> None:
    builtin = BuiltinOperator(code)
    model = with_operators(small_model, Operator(OperatorCode(builtin, 3), (0,), (2,)))
    operator = read_tflite(write_tflite(model), "codes").main.operators[0]
    assert operator.builtin == code
    assert operator.name == (f"UNKNOWN_{code}" if code == 5000 else builtin.name)


def test_custom_operator(small_model: Model) -> None:
    code = OperatorCode(BuiltinOperator.CUSTOM, 1, "TheirOperator")
    model = with_operators(small_model, Operator(code, (0,), (2,), custom_options=b"any bytes"))
    read = read_tflite(write_tflite(model), "custom")
    assert read == model
    assert read.main.operators[0].name == "TheirOperator"


def test_operators_share_codes_in_order_of_first_use(small_model: Model) -> None:
    convolution = small_model.main.operators[0]
    relu = Operator(int8_code(BuiltinOperator.RELU), (0,), (2,))
    model = with_operators(small_model, relu, convolution, relu)
    assert model.operator_codes == (relu.code, convolution.code)
    assert read_tflite(write_tflite(model), "codes").operator_codes == model.operator_codes


def test_constants_are_aligned_views_of_the_file(small_model: Model) -> None:
    data = write_tflite(small_model)
    model = read_tflite(data, "views")
    start = np.frombuffer(data, np.uint8).ctypes.data
    for buffer in model.buffers[1:]:
        offset = np.frombuffer(buffer.data, np.uint8).ctypes.data - start
        assert 0 < offset < len(data)
        assert offset % 16 == 0
    weights = model.constant(1)
    assert weights is not None
    assert weights.shape == (2, 3, 3, 1)
    assert np.array_equal(weights.ravel(), np.arange(-9, 9))
    assert not weights.flags.writeable
    assert model.constant(0) is None


def test_constant_of_a_type_without_numpy_counterpart(small_model: Model) -> None:
    image, weights, output = small_model.main.tensors
    packed = dataclasses.replace(weights, type=TensorType.INT4)
    graph = dataclasses.replace(small_model.main, tensors=(image, packed, output))
    model = dataclasses.replace(small_model, subgraphs=(graph,), buffers=(Buffer(), Buffer(bytes(9)), Buffer()))
    assert read_tflite(write_tflite(model), "packed") == model
    with pytest.raises(McukitError, match="INT4") as caught:
        model.constant(1)
    assert caught.value.problems[0].code == "unsupported-type"


@pytest.mark.parametrize("value", [0.1, 1e-30, 3.4e38])
def test_floats_are_those_of_the_file_from_the_start(value: float, small_model: Model) -> None:
    assert LeakyReluOptions(value).alpha == float(np.float32(value))
    assert QuantizationParameters((value,), (0,)).scale == (float(np.float32(value)),)


def test_options_as(small_model: Model) -> None:
    convolution = small_model.main.operators[0]
    assert convolution.options_as(Conv2DOptions).stride_w == 2
    with pytest.raises(McukitError, match="CONV_2D has no Pool2DOptions"):
        convolution.options_as(Pool2DOptions)


def test_unread_options_are_not_lost_silently(small_model: Model) -> None:
    operator = Operator(OperatorCode(BuiltinOperator.LSTM), (0,), (2,), has_unread_options=True)
    with pytest.raises(McukitError, match="options of the operator LSTM weren't decoded"):
        write_tflite(with_operators(small_model, operator))


def test_numbers_without_meaning_are_not_written(small_model: Model) -> None:
    convolution = dataclasses.replace(small_model.main.operators[0], options=Conv2DOptions(stride_w=0))
    with pytest.raises(McukitError, match="stride_w is 0"):
        write_tflite(with_operators(small_model, convolution))
    softmax = Operator(int8_code(BuiltinOperator.SOFTMAX), (0,), (2,), SoftmaxOptions(1e300))
    with pytest.raises(McukitError, match="beta is inf"):
        write_tflite(with_operators(small_model, softmax))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("beta", b"\0\0\xc0\x7f", "the value is nan"),
        ("beta", b"\0\0\x80\xff", "the value is -inf"),
        ("stride_w", b"\0\0\0\0", "the least that makes sense is 1"),
        ("stride_w", b"\xff\xff\xff\xff", "the value is -1"),
    ],
)
def test_numbers_without_meaning_are_not_read(field: str, value: bytes, message: str, small_model: Model) -> None:
    marker = 1234567.0 if field == "beta" else 1234567
    options, builtin, code = {
        "beta": (SoftmaxOptions(float(marker)), BuiltinOperator.SOFTMAX, "<f"),
        "stride_w": (Conv2DOptions(stride_w=int(marker)), BuiltinOperator.CONV_2D, "<i"),
    }[field]
    data = write_tflite(with_operators(small_model, Operator(int8_code(builtin), (0, 1), (2,), options)))
    assert data.count(struct.pack(code, marker)) == 1
    with pytest.raises(McukitError, match=message) as caught:
        read_tflite(data.replace(struct.pack(code, marker), value), "numbers")
    assert caught.value.problems[0].where == f"numbers: subgraphs.0.operators.0.options.{field}"


def test_versions_cover_what_has_options() -> None:
    not_written = {
        BuiltinOperator.DIV,
        BuiltinOperator.REDUCE_MAX,
        BuiltinOperator.REDUCE_MIN,
        BuiltinOperator.SUM,
    }
    assert set(OPTIONS_BY_OPERATOR) - not_written <= set(INT8_VERSIONS)
    with pytest.raises(McukitError, match="doesn't write DIV"):
        int8_code(BuiltinOperator.DIV)


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files(name: str, real_models: Path) -> None:
    model = read_tflite((real_models / name).read_bytes(), name)
    assert not any(operator.has_unread_options for operator in model.main.operators)
    data = write_tflite(model)
    assert read_tflite(data, name) == model
    assert write_tflite(model) == data


def test_a_file_by_the_generated_code(small_model: Model) -> None:
    """LiteRT's own writer lays files out in another way; the model in them is the same."""
    generated: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers: Any = pytest.importorskip("flatbuffers")
    parsed = generated.ModelT.InitFromObj(generated.Model.GetRootAs(write_tflite(small_model), 0))
    builder = flatbuffers.Builder(0)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    data = bytes(builder.Output())
    assert data != write_tflite(small_model)
    assert read_tflite(data, "generated") == small_model

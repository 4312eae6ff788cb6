# SPDX-License-Identifier: Apache-2.0
"""The .tflite importer: the network's edges, several problems at once, and files that mean nothing or mean harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph
from mcukit.importers.tflite import import_tflite
from mcukit.quantized.lower import lower
from mcukit.tflite import options
from mcukit.tflite.enums import BuiltinOperator, Padding, TensorType
from mcukit.tflite.schema import OperatorCode
from mcukit.tflite.schema import QuantizationParameters as Affine
from mcukit.tflite.writer import write_tflite
from tests.tflite.conftest import ModelBuilder

IMAGE = (1, 4, 4, 2)
SCALE = Affine((0.1,), (-5,))
CONVOLUTION = options.Conv2DOptions(Padding.VALID, 1, 1)
WEIGHTS = np.arange(-9, 9, dtype=np.int8).reshape(1, 3, 3, 2)


def import_model(builder: ModelBuilder, inputs: list[int], outputs: list[int]) -> Graph:
    return import_tflite(write_tflite(builder.build(inputs, outputs)), "net", "the file")


def refusal(builder: ModelBuilder, inputs: list[int], outputs: list[int]) -> McukitError:
    with pytest.raises(McukitError) as caught:
        import_model(builder, inputs, outputs)
    return caught.value


def convolution(builder: ModelBuilder, source: int, weights: int, *bias: int, name: str = "") -> int:
    result = builder.computed((1, 2, 2, 1), SCALE, name=name)
    builder.operator(BuiltinOperator.CONV_2D, [source, weights, *bias], [result], CONVOLUTION)
    return result


def relu(builder: ModelBuilder, source: int, kind: TensorType = TensorType.INT8, name: str = "") -> int:
    affine = SCALE if kind is TensorType.INT8 else None
    result = builder.computed(IMAGE, affine, kind, name)
    builder.operator(BuiltinOperator.RELU, [source], [result])
    return result


@pytest.mark.parametrize(
    ("kind", "affine", "leaves"),
    [
        (TensorType.FLOAT32, None, False),
        (TensorType.FLOAT32, None, True),
        (TensorType.UINT8, Affine((0.1,), (123,)), False),
        (TensorType.UINT8, Affine((0.1,), (123,)), True),
    ],
)
def test_conversions_at_the_edges_are_left_to_the_application(
    kind: TensorType, affine: Affine | None, leaves: bool
) -> None:
    builder = ModelBuilder()
    outside, inside = builder.computed(IMAGE, affine, kind, "outside"), builder.computed(IMAGE, SCALE, name="inside")
    builder.operator(BuiltinOperator.QUANTIZE, [outside], [inside], options.QuantizeOptions())
    last = relu(builder, inside, name="last")
    output = last
    if leaves:
        output = builder.computed(IMAGE, None, TensorType.FLOAT32, "floats")
        builder.operator(BuiltinOperator.DEQUANTIZE, [last], [output], options.DequantizeOptions())
    graph = import_model(builder, [outside], [output])
    assert (graph.inputs, graph.outputs) == (("inside",), ("last",))
    assert [node.name for node in graph.nodes] == ["last"]
    quantization = graph.tensors["inside"].quantization
    assert quantization is not None
    assert (quantization.tensor_scale, quantization.zero_point) == (pytest.approx(0.1), -5)


@pytest.mark.parametrize("affine", [Affine((0.2,), (123,)), Affine((0.1,), (122,))], ids=["scale", "zero point"])
def test_a_uint8_input_that_is_rescaled_is_refused(affine: Affine) -> None:
    builder = ModelBuilder()
    outside, inside = builder.computed(IMAGE, affine, TensorType.UINT8), builder.computed(IMAGE, SCALE)
    builder.operator(BuiltinOperator.QUANTIZE, [outside], [inside], options.QuantizeOptions())
    error = refusal(builder, [outside], [relu(builder, inside)])
    assert "rescaled at the entrance" in str(error)


def test_every_unsupported_operator_is_named_with_a_hint() -> None:
    builder = ModelBuilder()
    last = source = builder.computed(IMAGE, SCALE)
    for position, kind in enumerate((BuiltinOperator.FLOOR, BuiltinOperator.RELU, BuiltinOperator.EXP)):
        result = builder.computed(IMAGE, SCALE, name=f"map{position}")
        builder.operator(OperatorCode(kind), [last], [result])
        last = result
    error = refusal(builder, [source], [last])
    assert [problem.where for problem in error.problems] == [
        "operator 0 (FLOOR) computing 'map0'",
        "operator 2 (EXP) computing 'map2'",
    ]
    assert {problem.code for problem in error.problems} == {"unsupported-operator"}
    assert all(problem.hint for problem in error.problems)


def test_a_refused_operator_whose_output_makes_no_sense_does_not_hide_the_others() -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, SCALE)
    odd = builder.computed(IMAGE, Affine((0.1, 0.2), (1, 2), 3))
    builder.operator(OperatorCode(BuiltinOperator.FLOOR), [source], [odd])
    result = builder.computed(IMAGE, SCALE)
    builder.operator(OperatorCode(BuiltinOperator.EXP), [source], [result])
    assert len(refusal(builder, [source], [odd, result]).problems) == 2


@pytest.mark.parametrize("affine", [None, Affine((0.1, 0.2), (0, 0), 3)], ids=["none", "per channel"])
@pytest.mark.parametrize("place", ["input", "output"])
def test_maps_without_one_scale_are_refused(place: str, affine: Affine | None) -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, affine if place == "input" else SCALE)
    result = builder.computed(IMAGE, affine if place == "output" else SCALE)
    builder.operator(BuiltinOperator.RELU, [source], [result])
    assert "has no scale and zero point" in str(refusal(builder, [source], [result]))


@pytest.mark.parametrize(
    ("weights", "affine", "message"),
    [
        (WEIGHTS, None, "has no scale"),
        (WEIGHTS, Affine((0.1,), (3,)), "zero point other than 0"),
        (WEIGHTS.astype(np.int32), Affine((0.1,), (0,)), "not int8"),
        (WEIGHTS.astype(np.int16), Affine((0.1,), (0,)), "int16"),
        (WEIGHTS, Affine((0.1, 0.2, 0.3), (0, 0, 0), 1), "3 scales for 1 channels"),
        (WEIGHTS, Affine((0.1, 0.2), (1, 1), 3), "zero points per channel"),
    ],
)
def test_weights_that_tflm_does_not_compute_with_are_refused(
    weights: np.ndarray, affine: Affine | None, message: str
) -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, SCALE)
    output = convolution(builder, source, builder.constant(weights, affine))
    assert message in str(refusal(builder, [source], [output]))


def test_int8_weights_in_a_float_network_are_refused() -> None:
    """What converters make with "dynamic range" quantization: taken as floats, the weights would be nonsense."""
    builder = ModelBuilder()
    source = builder.computed(IMAGE, None, TensorType.FLOAT32)
    result = builder.computed((1, 2, 2, 1), None, TensorType.FLOAT32)
    weights = builder.constant(WEIGHTS, Affine((0.1,), (0,)))
    builder.operator(BuiltinOperator.CONV_2D, [source, weights], [result], CONVOLUTION)
    error = refusal(builder, [source], [result])
    assert "type int8 in a network that computes in float" in str(error)
    assert "quantization" in error.problems[0].hint


def test_nan_in_weights_is_refused_with_the_operator() -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, None, TensorType.FLOAT32)
    result = builder.computed((1, 2, 2, 1), None, TensorType.FLOAT32, "sums")
    weights = builder.constant(np.full((1, 3, 3, 2), np.nan, np.float32))
    builder.operator(BuiltinOperator.CONV_2D, [source, weights], [result], CONVOLUTION)
    problem = refusal(builder, [source], [result]).problems[0]
    assert problem.code == "non-finite-weights"
    assert "sums" in problem.where


def test_a_convolution_without_bias_gets_zeros_of_its_own() -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, SCALE, name="w/zero_bias")
    weights = builder.constant(WEIGHTS, Affine((0.5,), (0,)))
    builder.tensors[weights] = replace(builder.tensors[weights], name="w")
    graph = import_model(builder, [source], [convolution(builder, source, weights)])
    bias = graph.tensors[graph.nodes[0].inputs[2]]
    assert graph.inputs == ("w/zero_bias",)
    assert bias.name != "w/zero_bias"
    np.testing.assert_array_equal(bias.data, np.zeros(1, np.int32), strict=True)
    assert bias.quantization is not None
    assert bias.quantization.tensor_scale == pytest.approx(0.05)
    lower(graph)


def test_tensors_may_share_names_or_have_none() -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, SCALE, name="x")
    first = relu(builder, source, name="x")
    second = relu(builder, first, name="x/1")
    graph = import_model(builder, [source], [second])
    assert len({graph.inputs[0], *(node.output for node in graph.nodes)}) == 3
    assert [node.inputs for node in graph.nodes] == [graph.inputs, (graph.nodes[0].output,)]


def test_outputs_keep_their_order() -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, SCALE)
    first, second = relu(builder, source, name="a"), relu(builder, source, name="b")
    assert import_model(builder, [source], [second, first]).outputs == ("b", "a")


def two_inputs(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    a, b = builder.computed(IMAGE, SCALE), builder.computed(IMAGE, SCALE)
    return [a, b], [relu(builder, a)]


def no_inputs(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    return [], [builder.computed(IMAGE, SCALE)]


def no_outputs(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source = builder.computed(IMAGE, SCALE)
    relu(builder, source)
    return [source], []


def a_map_from_nowhere(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source, other = builder.computed(IMAGE, SCALE), builder.computed(IMAGE, SCALE)
    return [source], [relu(builder, other)]


def an_operator_that_reads_itself(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source, result = builder.computed(IMAGE, SCALE), builder.computed(IMAGE, SCALE)
    builder.operator(BuiltinOperator.RELU, [result], [result])
    return [source], [result]


def a_dequantize_of_itself(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source = builder.computed(IMAGE, SCALE)
    builder.operator(BuiltinOperator.DEQUANTIZE, [source], [source])
    return [source], [source]


def dequantizes_in_a_circle(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source, a, b = (builder.computed(IMAGE, SCALE) for _ in range(3))
    builder.operator(BuiltinOperator.DEQUANTIZE, [a], [b])
    builder.operator(BuiltinOperator.DEQUANTIZE, [b], [a])
    return [source], [a, b]


def no_outputs_of_operators(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source = builder.computed(IMAGE, None, TensorType.FLOAT32)
    inside = builder.computed(IMAGE, SCALE)
    builder.operator(BuiltinOperator.QUANTIZE, [source], [])
    builder.operator(BuiltinOperator.DEQUANTIZE, [inside], [])
    return [source], [relu(builder, inside)]


def no_inputs_of_operators(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source, result = builder.computed(IMAGE, SCALE), builder.computed(IMAGE, SCALE)
    builder.operator(BuiltinOperator.RELU, [], [result])
    return [source], [result]


def a_constant_as_output(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source = builder.computed(IMAGE, SCALE)
    relu(builder, source)
    return [source], [builder.constant(WEIGHTS, Affine((0.1,), (0,)))]


def a_batch_of_two(builder: ModelBuilder) -> tuple[list[int], list[int]]:
    source, result = (builder.computed((2, 4, 4, 2), SCALE) for _ in range(2))
    builder.operator(BuiltinOperator.RELU, [source], [result])
    return [source], [result]


HOSTILE = (
    two_inputs, no_inputs, no_outputs, a_map_from_nowhere, an_operator_that_reads_itself, a_dequantize_of_itself,
    dequantizes_in_a_circle, no_outputs_of_operators, no_inputs_of_operators, a_constant_as_output, a_batch_of_two,
)  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_files_that_mean_nothing_are_refused(make: Callable[[ModelBuilder], tuple[list[int], list[int]]]) -> None:
    builder = ModelBuilder()
    inputs, outputs = make(builder)
    for problem in refusal(builder, inputs, outputs).problems:
        assert problem.code in {"invalid-model", "unsupported-operator", "unsupported-model"}
        assert problem.message


def test_damaged_files_are_refused_or_harmless() -> None:
    builder = ModelBuilder()
    source = builder.computed(IMAGE, SCALE)
    bias = builder.constant(np.array([3], np.int32), Affine((0.01,), (0,)))
    last = convolution(builder, source, builder.constant(WEIGHTS, Affine((0.1,), (0,))), bias)
    flat = builder.computed((1, 4), SCALE)
    builder.operator(BuiltinOperator.RESHAPE, [last], [flat], options.ReshapeOptions((1, 4)))
    data = write_tflite(builder.build([source], [flat]))
    generator = np.random.default_rng(3)
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        for position in generator.integers(0, len(data), 2):
            damaged[position] = int(generator.choice((0, 1, 4, 127, 128, 255)))
        try:
            lower(import_tflite(bytes(damaged), "net", "the file"))
        except McukitError:
            refused += 1
    assert refused > 100

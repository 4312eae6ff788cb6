# SPDX-License-Identifier: Apache-2.0
"""Elementwise operators and softmax as ONNX and TFLite files have them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.export.tflite import TfliteBuilder
from mcukit.graph.graph import Quantization, Tensor
from mcukit.importers.onnx import import_onnx
from mcukit.importers.tflite import import_tflite
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, Clamp
from mcukit.ops.add import Add
from mcukit.ops.hard_sigmoid import HardSigmoid
from mcukit.ops.hard_swish import HardSwish
from mcukit.ops.leaky_relu import LeakyRelu
from mcukit.ops.mul import Mul
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.requantize import Requantize
from mcukit.ops.sigmoid import Sigmoid
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.tanh import Tanh
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.options import SoftmaxOptions
from mcukit.tflite.writer import write_tflite
from tests.importers.onnx_text import Constants, assert_same_outputs, network
from tests.ops.harness import Case, case_graph, compare, quantize_case, run_c, run_micro

MAP = "(float[1,5,3,4] x) => (float[1,5,3,4] y)"
VECTOR = "(float[1,7] x) => (float[1,7] y)"
POINT = "(float[1,5,1,1] x) => (float[1,5,1,1] y)"


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


ONNX: tuple[tuple[str, str, Constants, int, Operator], ...] = (
    (MAP, "y = Relu(x)", {}, 17, Clip(RELU)),
    (MAP, "y = Clip(x, low, high)", {"low": scalar(0), "high": scalar(6)}, 13, Clip(RELU6)),
    (MAP, "y = Clip(x, low)", {"low": scalar(-0.5)}, 11, Clip(Clamp(minimum=-0.5))),
    (MAP, "y = Clip(x, , high)", {"high": scalar(0.5)}, 17, Clip(Clamp(maximum=0.5))),
    (
        MAP,
        "y = Clip(x, low, high)",
        {"low": scalar(-3.4028235e38), "high": scalar(1)},
        13,
        Clip(Clamp(maximum=1)),
    ),
    (MAP, "y = Clip(x, low, high)", {"low": scalar(2), "high": scalar(1)}, 13, Clip(Clamp(1, 1))),
    (VECTOR, "y = LeakyRelu(x)", {}, 17, LeakyRelu(0.01)),
    (MAP, "y = LeakyRelu<alpha = 0.3>(x)", {}, 17, LeakyRelu(0.3)),
    (MAP, "y = PRelu(x, s)", {"s": np.full((5, 1, 1), 0.2, np.float32)}, 17, LeakyRelu(0.2)),
    (MAP, "y = HardSwish(x)", {}, 17, HardSwish()),
    (VECTOR, "y = Sigmoid(x)", {}, 17, Sigmoid()),
    (MAP, "y = Tanh(x)", {}, 17, Tanh()),
    (MAP, "y = HardSigmoid(x)", {}, 17, HardSigmoid(0.2, 0.5)),
    (MAP, "y = HardSigmoid<alpha = 0.25, beta = 0.25>(x)", {}, 17, HardSigmoid(0.25, 0.25)),
    (MAP, "y = Add(x, c)", {"c": (5, 1, 1)}, 17, Add()),
    (MAP, "y = Add(c, x)", {"c": (1, 5, 3, 4)}, 17, Add()),
    (MAP, "y = Sub(c, x)", {"c": (5, 1, 4)}, 17, Sub()),
    (MAP, "y = Sub(x, x)", {}, 17, Sub()),
    (VECTOR, "y = Mul(x, c)", {"c": scalar(-2.5)}, 17, Mul()),
    (MAP, "y = Div(x, c)", {"c": np.array([0.5, -2, 7, 3], np.float32)}, 17, Mul()),
    (VECTOR, "y = Softmax(x)", {}, 17, Softmax()),
    (VECTOR, "y = Softmax(x)", {}, 11, Softmax()),
    (POINT, "y = Softmax(x)", {}, 11, Softmax()),
    (POINT, "y = Softmax<axis = 1>(x)", {}, 13, Softmax()),
    (MAP, "y = Softmax<axis = 1>(x)", {}, 13, Softmax()),
    (MAP, "y = Softmax<axis = -3>(x)", {}, 17, Softmax()),
)


@pytest.mark.parametrize(
    ("signature", "nodes", "constants", "opset", "operator"),
    ONNX,
    ids=[f"{n} opset {o}" for _, n, _, o, _ in ONNX],
)
def test_onnx_operator(signature: str, nodes: str, constants: Constants, opset: int, operator: Operator) -> None:
    file = network(signature, nodes, constants, opset=opset)
    graph = import_onnx(file)
    assert [node.operator for node in graph.nodes] == [operator]
    assert_same_outputs(file, graph)


REFUSED: tuple[tuple[str, str, Constants, int, str], ...] = (
    (MAP, "y = PRelu(x, s)", {"s": (5, 1, 1)}, 17, "a PRelu with 5 different slopes"),
    (MAP, "y = Clip(x, low)", {"low": scalar(math.nan)}, 17, "not a number|NaN"),
    (MAP, "y = PRelu(x, s)", {"s": np.full((5, 1, 1), np.inf, np.float32)}, 17, "slope inf|infinity"),
    (MAP, "y = Clip(x, low)", {"low": scalar(math.inf)}, 17, "leave no finite value|infinity"),
    (MAP, "y = HardSigmoid<beta = 1.5>(x)", {}, 17, "a HardSigmoid with alpha 0.2 and beta 1.5"),
    (MAP, "y = HardSigmoid<alpha = -1.0>(x)", {}, 17, "a HardSigmoid with alpha -1"),
    (MAP, "y = Softmax<axis = 3>(x)", {}, 17, "along another axis than channels"),
    (MAP, "y = Softmax(x)", {}, 11, "along another axis than channels"),
    (MAP, "y = Div(x, x)", {}, 17, "a division by a computed value"),
    (MAP, "y = Div(x, c)", {"c": np.array([0.5, 0, 7, 3], np.float32)}, 17, "by zero"),
)


@pytest.mark.parametrize(
    ("signature", "nodes", "constants", "opset", "message"), REFUSED, ids=[n for _, n, *_ in REFUSED]
)
def test_onnx_operator_is_refused(signature: str, nodes: str, constants: Constants, opset: int, message: str) -> None:
    with pytest.raises(McukitError, match=message):
        import_onnx(network(signature, nodes, constants, opset=opset))


SOURCE = Quantization.per_tensor(0.05, -3)
OTHER = Quantization.per_tensor(0.02, 5)

TFLITE: tuple[tuple[Operator, Quantization], ...] = (
    (Clip(RELU), OTHER),
    (Clip(RELU6), SOURCE),
    (LeakyRelu(0.3), OTHER),
    (HardSwish(), OTHER),
    (Sigmoid(), Sigmoid().fixed_output([])),
    (Tanh(), Tanh().fixed_output([])),
    (Requantize(), OTHER),
    (Softmax(0.5), Softmax().fixed_output([])),
    (Add(RELU6), OTHER),
    (Sub(RELU), OTHER),
    (Mul(RELU_N1_TO_1), OTHER),
)


@pytest.mark.parametrize(("operator", "target"), TFLITE, ids=[o.op_name for o, _ in TFLITE])
def test_exported_tflite_is_imported_again(operator: Operator, target: Quantization) -> None:
    builder = TfliteBuilder()
    source = Tensor("input", (1, 3, 4, 5), None, SOURCE)
    constant = Tensor("constant", (5,), np.arange(5, dtype=np.int8), OTHER)
    inputs = [source, constant] if isinstance(operator, Add | Sub | Mul) else [source]
    output = Tensor("output", source.shape, None, target)
    operator.to_tflite(builder, inputs, output)
    model = builder.model([builder.tensor(source)], [builder.tensor(output)], "one")
    graph = import_tflite(write_tflite(model), "one", "the file")
    (node,) = graph.nodes
    assert node.operator == operator
    found = graph.tensors[node.output].quantization
    assert found is not None
    assert found.same_as(target)
    data = np.random.default_rng(3).integers(-128, 128, (2, 3, 4, 5), np.int8)
    again = operator.lower(graph.node_inputs(node), graph.tensors[node.output]).evaluate([data])
    np.testing.assert_array_equal(again, operator.lower(inputs, output).evaluate([data]))


PRESCRIBED = (
    (BuiltinOperator.LOGISTIC, None),
    (BuiltinOperator.TANH, None),
    (BuiltinOperator.SOFTMAX, SoftmaxOptions(1.0)),
)


@pytest.mark.parametrize(("builtin", "options"), PRESCRIBED, ids=[b.name for b, _ in PRESCRIBED])
def test_another_output_than_tflite_prescribes_is_refused(
    builtin: BuiltinOperator, options: SoftmaxOptions | None
) -> None:
    builder = TfliteBuilder()
    source = builder.tensor(Tensor("input", (1, 4), None, SOURCE))
    output = builder.tensor(Tensor("output", (1, 4), None, OTHER))
    builder.operator(builtin, options, [source], [output])
    with pytest.raises(McukitError, match="TFLite prescribes"):
        import_tflite(write_tflite(builder.model([source], [output], "one")), "one", "the file")


@pytest.mark.parametrize("operator", [Add(), Sub(RELU), Mul(RELU6)], ids=lambda o: o.op_name)
@pytest.mark.parametrize("shape", [(1, 4, 5, 6), (1, 1, 1, 6), (1, 4, 5, 1)], ids=str)
def test_constant_in_front_of_a_map(operator: Operator, shape: tuple[int, ...]) -> None:
    case = Case(operator, maps=((1, 4, 5, 6),), constants=(shape,))
    graph = case_graph(case)
    (node,) = graph.nodes
    graph = graph.replace(nodes=(dataclasses.replace(node, inputs=node.inputs[::-1]),))
    model, inputs = quantize_case(case, graph)
    expected = run_reference(model, inputs, keep_maps=True).maps
    compare(case, "C", expected, run_c(model, inputs, "host"))
    compare(case, "TFLM", expected, run_micro(model, inputs))


CONSTANTS = (
    ("one positive value is exact", [3.7]),
    ("one negative value is exact", [-0.2]),
    ("zeros are exact", [0.0, 0.0]),
    ("tiny values keep a scale", [1e-30, -1e-30]),
    ("values so small that float32 has no scale for them become zero", [1e-44]),
    ("values of both signs are at most half a step away", [-1.0, 0.3, 2.9]),
)


@pytest.mark.parametrize("values", [v for _, v in CONSTANTS], ids=[n for n, _ in CONSTANTS])
def test_constants_are_quantized_over_their_own_range(values: list[float]) -> None:
    data = np.array(values, np.float32)
    constant = Tensor("constant", data.shape, data)
    _, quantized = Add().quantize_constants([Tensor("map", (1, data.size), None, SOURCE), constant])
    assert quantized.quantization is not None
    found = quantized.quantization.dequantize(np.asarray(quantized.data, np.int8))
    step = 0.0 if data.size == 1 else quantized.quantization.tensor_scale / 2
    rounding = np.abs(data) * 1e-6 + np.finfo(np.float32).tiny
    assert np.all(np.abs(found - data) <= step + rounding)


def test_operands_that_do_not_broadcast_are_refused() -> None:
    for a, b in (((1, 4, 5, 3), (1, 4, 5, 2)), ((1, 4, 5, 3), (1, 3)), ((3, 4), (3, 4))):
        with pytest.raises(McukitError, match="don't broadcast"):
            Add().output_shape([Tensor("a", a), Tensor("b", b)])

# SPDX-License-Identifier: Apache-2.0
"""Imported networks compute what the file computes, before and after passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcukit.graph import Graph
from mcukit.importers.load import load_model
from mcukit.importers.onnx import import_onnx
from mcukit.passes import run_passes
from tests.importers.onnx_text import Constants, assert_same_outputs, network

REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"
DEMO = Path(__file__).parents[2] / "mcukit" / "demo" / "digits96.onnx"

INPUT = "(float[N,3,8,8] x)"
NHWC_INPUT = "(float[N,8,6,3] x)"
CONV = {"w": (4, 3, 3, 3), "b": (4,)}


def operators(graph: Graph) -> list[str]:
    return [node.operator.op_name for node in graph.nodes]


def variance(channels: int) -> np.ndarray:
    return np.linspace(0.5, 2, channels, dtype=np.float32)


def shape(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int64)


# name: (signature, nodes, constants, operators after passes)
NETWORKS: dict[str, tuple[str, str, Constants, list[str]]] = {
    "batch normalization": (
        f"{INPUT} => (float[N,4,6,6] y)",
        "c = Conv(x, w, b)  n = BatchNormalization<epsilon = 0.01>(c, s, o, m, v)  y = Relu(n)",
        {**CONV, "s": (4,), "o": (4,), "m": (4,), "v": variance(4)},
        ["conv2d"],
    ),
    "batch normalization of a vector": (
        "(float[N,2,3,4] x) => (float[N,5] y)",
        "f = Flatten(x)  n = BatchNormalization(f, s, o, m, v)  y = Gemm(n, w, b)",
        {"s": (24,), "o": (24,), "m": (24,), "v": variance(24), "w": (24, 5), "b": (5,)},
        ["reshape", "mul", "add", "fully_connected"],
    ),
    "NHWC as tf2onnx writes it": (
        f"{NHWC_INPUT} => (float[N,5] y)",
        """t = Transpose<perm = [0, 3, 1, 2]>(x)
           c = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(t, w, b)
           r = Relu(c)
           u = Transpose<perm = [0, 2, 3, 1]>(r)
           f = Reshape(u, flat)
           m = MatMul(f, w2)
           y = Add(m, b2)""",
        {**CONV, "flat": shape(-1, 48), "w2": (48, 5), "b2": (5,)},
        ["conv2d", "reshape", "fully_connected"],
    ),
    "NHWC with preprocessing in the network": (
        f"{NHWC_INPUT} => (float[N,4,6,4] y)",
        """s = Sub(x, mean)  d = Div(s, std)  t = Transpose<perm = [0, 3, 1, 2]>(d)  y = Conv(t, w, b)""",
        {**CONV, "mean": (3,), "std": np.array([1, 2, 4], np.float32)},
        ["sub", "mul", "conv2d"],
    ),
    "a flattened map into a Gemm": (
        f"{INPUT} => (float[N,7] y)",
        "c = Conv<strides = [2, 2]>(x, w, b)  f = Flatten(c)  y = Gemm<transB = 1>(f, w2, b2)",
        {**CONV, "w2": (7, 36), "b2": (7,)},
        ["conv2d", "reshape", "fully_connected"],
    ),
    "squeeze and excite": (
        "(float[N,4,6,6] x) => (float[N,4,6,6] y)",
        """p = GlobalAveragePool(x)  a = Conv(p, w1, b1)  r = Relu(a)  e = Conv(r, w2, b2)
           g = HardSigmoid<alpha = 0.16666667, beta = 0.5>(e)  y = Mul(x, g)""",
        {"w1": (2, 4, 1, 1), "b1": (2,), "w2": (4, 2, 1, 1), "b2": (4,)},
        ["average_pool", "conv2d", "conv2d", "hard_sigmoid", "mul"],
    ),
    "a gate on the left side": (
        "(float[N,4,6,6] x) => (float[N,4,6,6] y)",
        "p = GlobalAveragePool(x)  g = Sigmoid(p)  y = Mul(g, x)",
        {},
        ["average_pool", "sigmoid", "mul"],
    ),
    "residual": (
        f"{INPUT} => (float[N,3,8,8] y)",
        "c = Conv<pads = [1, 1, 1, 1]>(x, w, b)  r = Relu(c)  s = Add(x, r)  y = Relu(s)",
        {"w": (3, 3, 3, 3), "b": (3,)},
        ["conv2d", "add"],
    ),
    "concatenation": (
        f"{INPUT} => (float[N,7,8,8] y)",
        "c = Conv<pads = [1, 1, 1, 1]>(x, w, b)  y = Concat<axis = 1>(c, x)",
        CONV,
        ["conv2d", "concat"],
    ),
    "Identity and Dropout": (
        f"{INPUT} => (float[N,4,6,6] y)",
        "i = Identity(x)  c = Conv(i, w, b)  d = Dropout(c)  y = Identity(d)",
        CONV,
        ["conv2d"],
    ),
    "depthwise separable": (
        f"{INPUT} => (float[N,4,4,4] y)",
        "d = Conv<group = 3, strides = [2, 2], pads = [1, 1, 1, 1]>(x, w1)  r = Clip(d, low, high)  y = Conv(r, w2)",
        {"w1": (3, 1, 3, 3), "w2": (4, 3, 1, 1), "low": np.float32(0), "high": np.float32(6)},
        ["depthwise_conv2d", "conv2d"],
    ),
    "a shape computed at run time": (
        f"{INPUT} => (float[N,5] y)",
        """c = Conv<strides = [2, 2]>(x, w, b)  s = Shape(c)  n = Gather<axis = 0>(s, zero)
           u = Unsqueeze(n, axes)  t = Concat<axis = 0>(u, rest)  f = Reshape(c, t)  y = Gemm(f, w2)""",
        {**CONV, "zero": np.int64(0), "axes": shape(0), "rest": shape(-1), "w2": (36, 5)},
        ["conv2d", "reshape", "fully_connected"],
    ),
    "constants behind nodes": (
        f"{INPUT} => (float[N,4,6,6] y)",
        "t = Transpose<perm = [3, 2, 0, 1]>(w)  h = Mul(b, half)  y = Conv(x, t, h)",
        {"w": (3, 3, 3, 4), "b": (4,), "half": np.float32(0.5)},
        ["conv2d"],
    ),
    "vectors": (
        "(float[1,6] x) => (float[1,3] y)",
        "a = Gemm(x, w1, b1)  r = Relu(a)  m = MatMul(r, w2)  y = Softmax(m)",
        {"w1": (6, 5), "b1": (5,), "w2": (5, 3)},
        ["fully_connected", "fully_connected", "softmax"],
    ),
    "a vector that becomes an image": (
        "(float[N,48] x) => (float[N,4,2,4] y)",
        "r = Reshape(x, image)  t = Transpose<perm = [0, 3, 1, 2]>(r)  y = Conv(t, w, b)",
        {**CONV, "image": shape(0, 4, 4, 3), "w": (4, 3, 3, 1)},
        ["reshape", "conv2d"],
    ),
    "squeezed axes": (
        f"{INPUT} => (float[N,4] y)",
        "c = Conv(x, w, b)  p = GlobalAveragePool(c)  s = Squeeze(p, axes)  u = Unsqueeze(s, axes)  y = Flatten(u)",
        {**CONV, "axes": shape(2, 3)},
        ["conv2d", "average_pool", "reshape"],
    ),
    "two outputs": (
        f"{INPUT} => (float[N,4,6,6] y, float[N,4] z)",
        "y = Conv(x, w, b)  p = GlobalAveragePool(y)  z = Flatten(p)",
        CONV,
        ["conv2d", "average_pool", "reshape"],
    ),
    "SAME_LOWER": (
        f"{INPUT} => (float[N,4,4,4] y)",
        'y = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w, b)',
        CONV,
        ["conv2d"],
    ),
    "VALID with dilation": (
        f"{INPUT} => (float[N,4,4,4] y)",
        'y = Conv<auto_pad = "VALID", dilations = [2, 2]>(x, w, b)',
        CONV,
        ["conv2d"],
    ),
    "unequal pads, strides and groups": (
        "(float[N,4,7,9] x) => (float[N,6,4,8] y)",
        "y = Conv<pads = [2, 0, 1, 1], strides = [2, 1], group = 2>(x, w, b)",
        {"w": (6, 2, 3, 3), "b": (6,)},
        ["conv2d"],
    ),
    "ceil_mode": (
        f"{INPUT} => (float[N,4,3,3] y)",
        "c = Conv(x, w, b)  y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(c)",
        CONV,
        ["conv2d", "max_pool"],
    ),
    "a constant per row": (
        f"{INPUT} => (float[N,3,8,8] y)",
        "y = Add(x, k)",
        {"k": (8, 1)},
        ["add"],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_computes_what_the_file_computes(name: str) -> None:
    signature, nodes, constants, expected = NETWORKS[name]
    file = network(signature, nodes, constants)
    graph = import_onnx(file)
    simplified = run_passes(graph)
    assert operators(simplified) == expected
    assert_same_outputs(file, graph, simplified, channels_last=signature.startswith(NHWC_INPUT))


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 17, 21])
def test_operator_sets(opset: int) -> None:
    axes = "<axes = [2, 3]>(p)" if opset < 13 else "(p, axes)"
    nodes = f"c = Conv(x, w, b)  p = GlobalAveragePool(c)  s = Squeeze{axes}  y = Softmax<axis = 1>(s)"
    constants = CONV if opset < 13 else {**CONV, "axes": shape(2, 3)}
    file = network(f"{INPUT} => (float[N,4] y)", nodes, constants, opset=opset)
    graph = import_onnx(file)
    assert_same_outputs(file, graph, run_passes(graph))


def test_names_are_those_of_the_file() -> None:
    nodes = "[first_conv] c = Conv(x, w, b)  y = Relu(c)"
    graph = import_onnx(network(f"{INPUT} => (float[N,4,6,6] y)", nodes, CONV))
    assert [node.name for node in graph.nodes] == ["first_conv", "Relu_y"]
    assert [node.name for node in run_passes(graph).nodes] == ["first_conv"]
    assert graph.inputs == ("x",)
    assert graph.outputs == ("y",)
    assert set(graph.tensors) == {"x", "c", "y", "first_conv/weights", "first_conv/bias"}


def test_nodes_of_the_same_name_are_told_apart() -> None:
    nodes = "[same] c = Conv(x, w, b)  [same] y = Sigmoid(c)"
    graph = import_onnx(network(f"{INPUT} => (float[N,4,6,6] y)", nodes, CONV))
    assert [node.name for node in graph.nodes] == ["same", "same_2"]


def test_initializers_may_be_listed_as_inputs() -> None:
    file = network("(float[1,3,8,8] x, float[4,3,3,3] w) => (float[1,4,6,6] y)", "y = Conv(x, w)", {"w": (4, 3, 3, 3)})
    assert import_onnx(file).inputs == ("x",)


@pytest.mark.parametrize(
    "model",
    [
        ("vww/vww_96_float.onnx", False, 31),
        ("mobilenet_v2_100_224/mobilenet_v2_float.onnx", False, 65),
        ("mobilenet_v1_025_128/mobilenet_v1_025_128_float.onnx", True, 31),
    ],
    ids=lambda model: Path(model[0]).stem,
)
def test_real_network(model: tuple[str, bool, int]) -> None:
    path, channels_last, nodes = REAL_MODELS / model[0], model[1], model[2]
    if not path.is_file():
        pytest.skip("the real models in ../shared/models are absent")
    graph = load_model(path)
    simplified = run_passes(graph)
    assert graph.name == path.stem
    assert len(simplified.nodes) == nodes
    assert_same_outputs(path.read_bytes(), graph, simplified, channels_last=channels_last)


def test_demo_network() -> None:
    graph = load_model(DEMO)
    assert_same_outputs(DEMO.read_bytes(), graph, run_passes(graph))

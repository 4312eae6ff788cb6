# SPDX-License-Identifier: Apache-2.0
"""Each pass does what it says, leaves alone what it must, and never changes what a network computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph import Graph, Node, Quantization, Tensor
from mcukit.graph.validate import validate
from mcukit.importers.onnx import import_onnx
from mcukit.ops.activation import RELU, RELU6, UNBOUNDED, Clamp
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.pad import Pad
from mcukit.ops.window import Window
from mcukit.passes import PASSES, run_passes
from mcukit.passes.fold_pad import fold_pad
from mcukit.passes.fold_scale_shift import fold_scale_shift
from mcukit.passes.fuse_clamp import fuse_clamp
from mcukit.passes.match_hard_swish import match_hard_swish
from mcukit.passes.remove_dead import remove_dead
from tests.importers.onnx_text import Constants, assert_same_outputs, network

MAP = "(float[N,3,6,6] x) => (float[N,3,6,6] y)"
CONV = "c = Conv<pads = [1, 1, 1, 1]>(x, w, b)"
DEPTHWISE = "c = Conv<pads = [1, 1, 1, 1], group = 3>(x, d, b)"
CONSTANTS: Constants = {
    "w": (3, 3, 3, 3),
    "d": (3, 1, 3, 3),
    "b": (3,),
    "k": (3, 1, 1),
    "one": np.float32(1.5),
    "row": (6, 1),
    "full": (3, 6, 6),
    "three": np.float32(3),
    "six": np.float32(6),
    "zero": np.float32(0),
    "sixth": np.float32(1 / 6),
    "fifth": np.float32(1 / 5),
    "low": np.float32(-1),
    "high": np.float32(1),
    "pads": np.array([0, 0, 1, 0, 0, 0, 2, 1], np.int64),
    "deep": np.array([0, 1, 1, 1, 0, 1, 1, 1], np.int64),
    "wide": np.array([0, 0, 3, 0, 0, 0, 0, 0], np.int64),
    "w2": (6, 4),
    "b2": (4,),
    "w5": (3, 5, 3, 3),
}

Case = tuple[Callable[[Graph], Graph], str, str, list[str]]

FOLDED_VECTOR = "(float[N,6] x) => (float[N,4] y)"
PADDED = "(float[N,3,6,6] x) => (float[N,3,H,W] y)"
GATE = "a = Add(x, three)  g = Clip(a, zero, six)"

# name: (pass, signature, nodes, operators after the pass and remove_dead)
CASES: dict[str, Case] = {
    "scale": (fold_scale_shift, MAP, f"{CONV}  y = Mul(c, k)", ["conv2d"]),
    "scale on the left": (fold_scale_shift, MAP, f"{CONV}  y = Mul(k, c)", ["conv2d"]),
    "scale of a depthwise layer": (fold_scale_shift, MAP, f"{DEPTHWISE}  y = Mul(c, k)", ["depthwise_conv2d"]),
    "one scale for all": (fold_scale_shift, MAP, f"{CONV}  y = Div(c, one)", ["conv2d"]),
    "shift": (fold_scale_shift, MAP, f"{CONV}  y = Add(c, k)", ["conv2d"]),
    "subtraction": (fold_scale_shift, MAP, f"{CONV}  y = Sub(c, k)", ["conv2d"]),
    "subtraction from a constant": (fold_scale_shift, MAP, f"{CONV}  y = Sub(k, c)", ["conv2d"]),
    "scale, shift and scale": (
        fold_scale_shift,
        MAP,
        f"{CONV}  m = Mul(c, k)  a = Add(m, one)  y = Mul(a, k)",
        ["conv2d"],
    ),
    "scale of a vector": (
        fold_scale_shift,
        FOLDED_VECTOR,
        "c = Gemm(x, w2, b2)  m = Mul(c, b2)  y = Sub(m, b2)",
        ["fully_connected"],
    ),
    "scale behind another reader": (
        fold_scale_shift,
        MAP,
        f"{CONV}  m = Mul(c, k)  y = Add(m, c)",
        ["conv2d", "mul", "add"],
    ),
    "scale behind a clamp": (
        lambda graph: fold_scale_shift(fuse_clamp(graph)),
        MAP,
        f"{CONV}  r = Relu(c)  y = Mul(r, k)",
        ["conv2d", "mul"],
    ),
    "scale per row": (fold_scale_shift, MAP, f"{CONV}  y = Mul(c, row)", ["conv2d", "mul"]),
    "scale per element": (fold_scale_shift, MAP, f"{CONV}  y = Mul(c, full)", ["conv2d", "mul"]),
    "scale of the input": (fold_scale_shift, MAP, "y = Mul(x, k)", ["mul"]),
    "ReLU": (fuse_clamp, MAP, f"{CONV}  y = Relu(c)", ["conv2d"]),
    "ReLU6": (fuse_clamp, MAP, f"{CONV}  y = Clip(c, zero, six)", ["conv2d"]),
    "ReLU6 behind ReLU": (fuse_clamp, MAP, f"{CONV}  r = Relu(c)  y = Clip(r, zero, six)", ["conv2d"]),
    "from -1 to 1": (fuse_clamp, MAP, f"{CONV}  y = Clip(c, low, high)", ["conv2d"]),
    "clip that TFLite does not fuse": (fuse_clamp, MAP, f"{CONV}  y = Clip(c, low, six)", ["conv2d", "clip"]),
    "two clips": (
        fuse_clamp,
        MAP,
        "s = Sigmoid(x)  a = Clip(s, low, six)  y = Clip(a, zero, three)",
        ["sigmoid", "clip"],
    ),
    "ReLU of a sum": (fuse_clamp, MAP, f"{CONV}  a = Add(c, x)  y = Relu(a)", ["conv2d", "add"]),
    "ReLU beside another reader": (fuse_clamp, MAP, f"{CONV}  r = Relu(c)  y = Add(r, c)", ["conv2d", "clip", "add"]),
    "ReLU of the input": (fuse_clamp, MAP, "y = Relu(x)", ["clip"]),
    "padding": (fold_pad, PADDED, "p = Pad(x, pads)  y = Conv(p, w, b)", ["conv2d"]),
    "padding of a depthwise layer": (
        fold_pad,
        PADDED,
        "p = Pad(x, pads)  y = Conv<group = 3>(p, d)",
        ["depthwise_conv2d"],
    ),
    "padding added to pads": (
        fold_pad,
        PADDED,
        "p = Pad(x, pads)  y = Conv<pads = [1, 1, 0, 1], strides = [2, 2]>(p, w)",
        ["conv2d"],
    ),
    "padding twice": (fold_pad, PADDED, "p = Pad(x, pads)  q = Pad(p, zeros)  y = Conv(q, w)", ["conv2d"]),
    "padding with another value": (fold_pad, PADDED, "p = Pad(x, pads, one)  y = Conv(p, w)", ["pad", "conv2d"]),
    "padding of channels": (fold_pad, PADDED, "p = Pad(x, deep)  y = Conv(p, w5)", ["pad", "conv2d"]),
    "padding as large as the kernel": (fold_pad, PADDED, "p = Pad(x, wide)  y = Conv(p, w)", ["pad", "conv2d"]),
    "x * HardSigmoid(x)": (
        match_hard_swish,
        MAP,
        "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x)  y = Mul(x, h)",
        ["hard_swish"],
    ),
    "HardSigmoid(x) * x": (
        match_hard_swish,
        MAP,
        "h = HardSigmoid<alpha = 0.166667, beta = 0.5>(x)  y = Mul(h, x)",
        ["hard_swish"],
    ),
    "another HardSigmoid": (
        match_hard_swish,
        MAP,
        "h = HardSigmoid<alpha = 0.2, beta = 0.5>(x)  y = Mul(h, x)",
        ["hard_sigmoid", "mul"],
    ),
    "HardSigmoid of something else": (
        match_hard_swish,
        MAP,
        "r = Relu(x)  h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(r)  y = Mul(x, h)",
        ["clip", "hard_sigmoid", "mul"],
    ),
    "x * gate / 6": (match_hard_swish, MAP, f"{GATE}  m = Mul(x, g)  y = Div(m, six)", ["hard_swish"]),
    "gate * x * sixth": (match_hard_swish, MAP, f"{GATE}  m = Mul(g, x)  y = Mul(sixth, m)", ["hard_swish"]),
    "x * (gate / 6)": (match_hard_swish, MAP, f"{GATE}  m = Div(g, six)  y = Mul(x, m)", ["hard_swish"]),
    "(x / 6) * gate": (match_hard_swish, MAP, f"{GATE}  m = Div(x, six)  y = Mul(g, m)", ["hard_swish"]),
    "3 + x": (
        match_hard_swish,
        MAP,
        "a = Add(three, x)  g = Clip(a, zero, six)  m = Mul(x, g)  y = Mul(m, sixth)",
        ["hard_swish"],
    ),
    "a clamp that rides on the sum": (
        lambda graph: match_hard_swish(fuse_clamp(graph)),
        MAP,
        f"{GATE}  m = Mul(x, g)  y = Mul(m, sixth)",
        ["hard_swish"],
    ),
    "another factor": (
        match_hard_swish,
        MAP,
        f"{GATE}  m = Mul(x, g)  y = Mul(m, fifth)",
        ["add", "clip", "mul", "mul"],
    ),
    "another offset": (
        match_hard_swish,
        MAP,
        "a = Add(x, one)  g = Clip(a, zero, six)  m = Mul(x, g)  y = Mul(m, sixth)",
        ["add", "clip", "mul", "mul"],
    ),
    "dead nodes": (remove_dead, MAP, f"{CONV}  y = Relu(x)", ["clip"]),
}


@pytest.mark.parametrize("name", CASES)
def test_pass(name: str) -> None:
    rewrite, signature, nodes, expected = CASES[name]
    constants = {**CONSTANTS, "zeros": np.array([0, 0, 0, 1, 0, 0, 0, 0], np.int64)}
    used = {key: value for key, value in constants.items() if f"({key}" in nodes or f" {key}" in nodes}
    file = network(signature, nodes, used)
    before = import_onnx(file)
    after = remove_dead(rewrite(before))
    assert [node.operator.op_name for node in after.nodes] == expected
    validate(after)
    assert after.inputs == before.inputs
    assert after.outputs == before.outputs
    assert {node.name for node in after.nodes} <= {node.name for node in before.nodes}
    assert_same_outputs(file, before, after)


def test_passes_reach_a_fixed_point() -> None:
    nodes = f"{CONV}  m = Mul(c, k)  a = Add(m, k)  r = Relu(a)  p = Pad(r, pads)  y = Conv(p, w)"
    used = {key: CONSTANTS[key] for key in ("w", "b", "k", "pads")}
    once = run_passes(import_onnx(network(PADDED, nodes, used)))
    assert [node.operator.op_name for node in once.nodes] == ["conv2d", "conv2d"]
    assert run_passes(once).nodes == once.nodes


def test_folded_weights_that_overflow_stay_unfolded() -> None:
    huge = {"w": np.full((3, 3, 3, 3), 1e30, np.float32), "b": (3,), "k": np.full((3, 1, 1), 1e30, np.float32)}
    graph = run_passes(import_onnx(network(MAP, f"{CONV}  y = Mul(c, k)", huge)))
    assert [node.operator.op_name for node in graph.nodes] == ["conv2d", "mul"]


def test_constants_of_two_layers_fold_for_one_only() -> None:
    nodes = f"{CONV}  m = Mul(c, k)  e = Conv<pads = [1, 1, 1, 1]>(x, w, b)  y = Add(m, e)"
    file = network(MAP, nodes, {key: CONSTANTS[key] for key in ("w", "b", "k")})
    graph = run_passes(import_onnx(file))
    assert [node.operator.op_name for node in graph.nodes] == ["conv2d", "conv2d", "add"]
    assert_same_outputs(file, graph)


def quantized(pad_scale: float) -> Graph:
    """A Pad and a convolution in int8; the Pad's output has a scale of its own."""
    scales = {"x": 0.5, "p": pad_scale, "y": 2.0}
    shapes = {"x": (1, 4, 4, 1), "p": (1, 5, 5, 1), "y": (1, 3, 3, 1)}
    tensors = {n: Tensor(n, shapes[n], None, Quantization.per_tensor(scales[n], 3)) for n in scales}
    tensors["w"] = Tensor("w", (1, 3, 3, 1), np.ones((1, 3, 3, 1), np.int8), Quantization.per_tensor(1.0, 0))
    tensors["b"] = Tensor("b", (1,), np.zeros(1, np.int32), Quantization.per_tensor(0.5, 0, bits=32))
    nodes = (
        Node("pad", Pad((0, 0, 1, 1)), ("x",), "p"),
        Node("conv", Conv2d(Window((3, 3))), ("p", "w", "b"), "y"),
    )
    return Graph("quantized", tensors, nodes, ("x",), ("y",))


def test_padding_of_a_quantized_map_folds() -> None:
    graph = run_passes(quantized(0.5))
    assert [node.name for node in graph.nodes] == ["conv"]
    assert graph.nodes[0].operator == Conv2d(Window((3, 3), pads=(0, 0, 1, 1)))


def test_padding_that_changes_the_scale_does_not_fold() -> None:
    assert fold_pad(quantized(0.25)).nodes == quantized(0.25).nodes


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (UNBOUNDED, RELU, RELU),
        (RELU, RELU6, RELU6),
        (RELU6, Clamp(-1, 1), Clamp(0, 1)),
        (RELU6, Clamp(7, 9), Clamp(7, 7)),
    ],
)
def test_clamps_one_after_the_other(first: Clamp, second: Clamp, both: Clamp) -> None:
    assert first.intersect(second) == both


def test_the_result_is_checked() -> None:
    graph = quantized(0.5)
    broken = replace(graph, tensors={**graph.tensors, "y": replace(graph.tensors["y"], shape=(1, 9, 9, 1))})
    with pytest.raises(McukitError, match="its output has shape"):
        run_passes(broken)
    assert len(PASSES) >= 5

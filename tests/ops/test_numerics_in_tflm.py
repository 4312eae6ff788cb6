# SPDX-License-Identifier: Apache-2.0
"""Integer arithmetic against TensorFlow Lite Micro's own kernels: every input byte, many quantizations.

A model has one input, whose bytes a RESHAPE for each case takes under another quantization: so one run of the
interpreter covers many cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from mcukit.errors import McukitError
from mcukit.export.tflite import TfliteBuilder
from mcukit.graph.graph import Quantization, Shape, Tensor, map_shape
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, UNBOUNDED, Clamp
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
from mcukit.tflite.micro import run_tflm
from mcukit.tflite.options import ReshapeOptions
from mcukit.tflite.writer import write_tflite

pytest.importorskip("tflite_micro", reason="tflite-micro isn't installed: pip install --pre 'mcukit[tflm]'")

Int8Array = npt.NDArray[np.int8]

ALL_BYTES = np.arange(-128, 128, dtype=np.int8)


@dataclass(frozen=True)
class Case:
    """An operator under given quantizations. operands: shape and quantization of each input, of the network's bytes."""

    operator: Operator
    operands: tuple[tuple[Shape, Quantization], ...]
    target: Quantization


def run_both(cases: Sequence[Case], data: Int8Array) -> list[tuple[Int8Array, Int8Array]]:
    """(ours, TFLite Micro's) outputs of each case for samples of bytes (N, count)."""
    builder = TfliteBuilder()
    source = Tensor("bytes", (1, data.shape[1]), None, Quantization.per_tensor(1.0, 0))
    outputs, ours = [], []
    index = builder.tensor(source)
    for number, case in enumerate(cases):
        inputs = [
            Tensor(f"case{number}/input{i}", shape, None, quantization)
            for i, (shape, quantization) in enumerate(case.operands)
        ]
        for tensor in inputs:
            shape = builder.constant_int32(np.array(tensor.shape, np.int32))
            operands, results = [index, shape], [builder.tensor(tensor)]
            builder.operator(BuiltinOperator.RESHAPE, ReshapeOptions(tensor.shape), operands, results)
        output = Tensor(f"case{number}/output", case.operator.output_shape(inputs), None, case.target)
        case.operator.to_tflite(builder, inputs, output)
        outputs.append(builder.tensor(output))
        maps = [data.reshape(-1, *map_shape(tensor.shape)) for tensor in inputs]
        ours.append(case.operator.lower(inputs, output).evaluate(maps))
    model = write_tflite(builder.model([index], outputs, "cases"))
    theirs = run_tflm(model, data)
    return [(mine, other.reshape(mine.shape).astype(np.int8)) for mine, other in zip(ours, theirs, strict=True)]


def assert_equal(cases: Sequence[Case], data: Int8Array) -> None:
    for case, (ours, theirs) in zip(cases, run_both(cases, data), strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=str(case))


def quantizations(seed: int, count: int, low: float = -12, high: float = 0) -> list[tuple[Quantization, Quantization]]:
    """Pairs: scales 2^low to 2^high and any zero points, then a few special ones."""
    rng = np.random.default_rng(seed)
    scales = 2.0 ** rng.uniform(low, high, (count, 2))
    zero_points = rng.integers(-128, 128, (count, 2))
    drawn = [
        tuple(Quantization.per_tensor(s, int(z)) for s, z in zip(pair, points, strict=True))
        for pair, points in zip(scales, zero_points, strict=True)
    ]
    quarter, third = Quantization.per_tensor(0.25, -128), Quantization.per_tensor(1 / 3, 127)
    special = [(quarter, quarter), (third, third), (quarter, third), (third, quarter)]
    special += [(Quantization.per_tensor(1 / 16, 0), Quantization.per_tensor(1 / 64, -1))]
    # Scales that are small fractions make ties: whether TFLM computes factors in float or double then shows.
    fractions = rng.integers(1, 12, (count // 4, 2)) / rng.integers(1, 60, (count // 4, 2))
    ties = [(Quantization.per_tensor(float(a), 3), Quantization.per_tensor(float(b), -7)) for a, b in fractions]
    return [*((a, b) for a, b in drawn), *special, *ties]


UNARY: tuple[tuple[str, Callable[[int], Operator]], ...] = (
    ("requantize", lambda _: Requantize()),
    ("relu", lambda _: Clip(RELU)),
    ("relu6", lambda _: Clip(RELU6)),
    ("relu_n1_to_1", lambda _: Clip(RELU_N1_TO_1)),
    ("clip", lambda i: Clip(Clamp(-0.3 * i, 0.7 * i - 2))),
    ("clip below", lambda i: Clip(Clamp(maximum=0.1 * i))),
    ("clip above", lambda i: Clip(Clamp(minimum=0.1 * i - 3))),
    ("no clip", lambda _: Clip(UNBOUNDED)),
    ("leaky_relu", lambda i: LeakyRelu((0.01, 0.2, 1.7, -0.4, 0.0, 1.0, 0.5, 7 / 30, 1 / 12)[i % 9])),
    ("hard_swish", lambda _: HardSwish()),
)

FIXED_OUTPUT: tuple[tuple[str, Callable[[int], Operator]], ...] = (
    ("sigmoid", lambda _: Sigmoid()),
    ("tanh", lambda _: Tanh()),
    ("hard_sigmoid", lambda i: HardSigmoid((0.2, 1 / 6, 1.0)[i % 3], (0.5, 0.25, 0.0, 0.99)[i % 4])),
)


@pytest.mark.parametrize(("name", "make"), UNARY, ids=[name for name, _ in UNARY])
def test_unary_operator_for_every_byte(name: str, make: Callable[[int], Operator]) -> None:
    # HARD_SWISH takes scales up to 128 times the output's.
    pairs = quantizations(len(name), 60, low=-6.9 if name == "hard_swish" else -12)
    same = [(target, target) for _, target in pairs[:10]]
    cases = [Case(make(i), (((1, 256), source),), target) for i, (source, target) in enumerate([*pairs, *same])]
    assert_equal(cases, ALL_BYTES[None])


@pytest.mark.parametrize(("name", "make"), FIXED_OUTPUT, ids=[name for name, _ in FIXED_OUTPUT])
def test_unary_operator_with_prescribed_output(name: str, make: Callable[[int], Operator]) -> None:
    cases = []
    for i, (source, _) in enumerate(quantizations(len(name), 80, low=-16, high=4)):
        operator = make(i)
        target = operator.fixed_output([])
        assert target is not None
        cases.append(Case(operator, (((1, 256), source),), target))
    assert_equal(cases, ALL_BYTES[None])


@pytest.mark.parametrize("operator", [Add, Sub, Mul], ids=["add", "sub", "mul"])
def test_every_pair_of_bytes(operator: Callable[[Clamp], Operator]) -> None:
    clamps = (UNBOUNDED, RELU, RELU6, RELU_N1_TO_1)
    pairs = quantizations(7, 16)
    row, column = (1, 1, 256, 1), (1, 256, 1, 1)
    cases = [Case(operator(clamps[i % 4]), ((row, a), (column, b)), pairs[i - 1][1]) for i, (a, b) in enumerate(pairs)]
    assert_equal(cases, ALL_BYTES[None])


@pytest.mark.parametrize("operator", [Add, Mul], ids=["add", "mul"])
def test_limits_that_lie_between_two_integers(operator: Callable[[Clamp], Operator]) -> None:
    """6 / scale is k + 1/2 up to the rounding of floats, which decides where a fused ReLU6 ends."""
    cases = []
    for k in range(1, 250, 9):
        exact = np.float32(6 / (k + 0.5))
        for scale in (exact, np.nextafter(exact, np.float32(0)), np.nextafter(exact, np.float32(9))):
            target, one = Quantization.per_tensor(float(scale), -128), Quantization.per_tensor(1.0, -128)
            operands = (((1, 256), target), ((1, 256), target if operator is Add else one))
            cases.append(Case(operator(RELU6), operands, target))
    assert_equal(cases, ALL_BYTES[None])


def test_leaky_relu_rounds_ties_of_a_negative_slope() -> None:
    rng = np.random.default_rng(0)
    numerators, denominators = rng.integers(1, 12, (300, 3)), rng.integers(1, 60, (300, 3))
    cases = [
        Case(
            LeakyRelu(-float(slope)),
            (((1, 256), Quantization.per_tensor(float(source), 3)),),
            Quantization.per_tensor(float(target), -7),
        )
        for slope, source, target in [(0.4, 0.15625, 0.8), *(numerators / denominators)]
    ]
    assert_equal(cases, ALL_BYTES[None])


HARD_SWISH_TIES = (
    (1.1220637559890747, 8, 0.2939494550228119, -108),
    (0.2282899171113968, -77, 0.5053523182868958, 10),
    (0.1029779389500618, -27, 0.1601775884628296, -107),
    (0.9730034470558167, 33, 0.40079671144485474, -71),
)
"""Scales and zero points of input and output; the 16-bit factor differs between float and double."""


def test_hard_swish_takes_factors_in_double() -> None:
    cases = [
        Case(HardSwish(), (((1, 256), Quantization.per_tensor(a, za)),), Quantization.per_tensor(b, zb))
        for a, za, b, zb in HARD_SWISH_TIES
    ]
    assert_equal(cases, ALL_BYTES[None])


def test_quantizations_that_tflm_would_abort_on_are_refused() -> None:
    tiny, one, huge = (Quantization.per_tensor(scale, 0) for scale in (1e-9, 1.0, 1e9))
    source, target = Tensor("input", (1, 4), None, one), Tensor("output", (1, 4), None, tiny)
    for operator in (Requantize(), Clip(RELU), LeakyRelu(0.1), HardSwish()):
        with pytest.raises(McukitError, match=r"scale|32 bits"):
            operator.lower([source], target)
    for sum_operator in (Add(), Sub()):
        with pytest.raises(McukitError, match="too large beside the output's"):
            sum_operator.lower([source, source], target)
    assert Mul().lower([Tensor("a", (1, 4), None, huge), source], target).largest_accumulator() >= 1 << 31
    with pytest.raises(McukitError, match="softmax"):
        Softmax().lower([target], Tensor("output", (1, 4), None, Quantization.per_tensor(1 / 256, -128)))


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 10, 100, 320])
def test_softmax(channels: int) -> None:
    rng = np.random.default_rng(channels)
    spreads = rng.uniform(1, 128, (40, 1))
    data = np.clip(np.rint(rng.normal(0, spreads, (40, 4 * channels))), -128, 127).astype(np.int8)
    data[0] = 5
    data[1, ::2] = 127
    data[2] = np.resize(ALL_BYTES, data.shape[1])
    cases = [
        Case(Softmax(beta), (((1, 2, 2, channels), source),), Quantization.per_tensor(1 / 256, -128))
        for source, _ in quantizations(channels, 8, low=-10, high=3)
        for beta in (1.0, 0.5, 3.25)
    ]
    assert_equal(cases, data)

# SPDX-License-Identifier: Apache-2.0
"""Maps and weights of 8, 4 and 2 bits in any mix: every operator, every cell, every executor, every byte."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.reference import run_reference
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2dInt8
from mcukit.ops.filters import FilterArithmetic
from mcukit.ops.fully_connected import FullyConnected, FullyConnectedInt8
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.pad import Pad
from mcukit.ops.requantize import Requantize
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.precision import quantization_groups, widest_choice
from tests.ops.harness import Case, case_graph, compare, quantize_case, run_c, run_micro
from tests.ops.test_conv2d import conv
from tests.ops.test_depthwise_conv2d import depthwise
from tests.planning.batch import Job, require_all_right

REQUANTIZE = tuple(Case(Requantize(), ((1, 2, 3, channels),)) for channels in range(1, 10))

SAME3 = Window((3, 3), pads=(1, 1, 1, 1))

CONVOLUTIONS = (
    conv(3, 5, 16, 6, Window((1, 1))),  # inputs of 8 bits are read where they lie, with weights of any width
    conv(7, 7, 5, 3, Window((1, 1), (3, 2), pads=(1, 0, 0, 2))),
    conv(5, 4, 6, 4, SAME3, groups=2, clamp=RELU6),  # groups begin within bytes
    conv(3, 3, 120, 3, SAME3),  # windows so large that one pixel is computed at a time
)
DEPTHWISE = (
    depthwise(4, 5, 9, SAME3),
    depthwise(9, 8, 17, Window((3, 2), (2, 1), (1, 3), (0, 3, 1, 2)), clamp=RELU),
    depthwise(4, 3, 3, Window((2, 2), pads=(1, 1, 0, 0)), multiplier=3),
)
FULLY_CONNECTED = (
    Case(FullyConnected(), maps=((1, 37),), constants=((19, 37), (19,))),
    Case(FullyConnected(RELU), maps=((1, 7, 6, 7),), constants=((3, 294), (3,))),  # segments end within pixels
)

OF_TWO_OPERANDS = (
    Case(Add(), ((1, 3, 5, 7), (1, 3, 5, 7))),
    Case(Sub(RELU), ((1, 1, 1, 5), (1, 3, 4, 5)), seed=1),
    Case(Mul(), ((1, 3, 4, 6), (1, 3, 4, 1)), seed=2),
    Case(Sub(), ((1, 3, 3, 1), (1, 1, 1, 3)), seed=3),
    Case(Mul(RELU_N1_TO_1), ((1, 2, 3, 1), (1, 2, 3, 1)), seed=4),
    Case(Add(), ((1, 3, 5, 9),), ((1, 1, 5, 1),), seed=5),
    Case(Mul(), ((1, 1, 1, 4),), ((1, 3, 2, 4),), seed=6),
)
"""Each operand broadcasts along pixels and along channels; constants do so along rows or not at all."""

POOLS = (
    Case(AveragePool(Window((3, 3), (2, 2), pads=(1, 1, 1, 1))), ((1, 7, 9, 5),)),
    Case(AveragePool(Window((7, 5)), RELU), ((1, 7, 5, 8),)),
    Case(AveragePool(Window((4, 2), (1, 1), pads=(1, 0, 2, 1))), ((1, 5, 3, 2),)),
    Case(MaxPool(Window((3, 2), (2, 3), pads=(2, 1, 1, 0))), ((1, 9, 8, 7),)),
    Case(MaxPool(Window((2, 3), (1, 2), pads=(1, 0, 0, 2)), RELU_N1_TO_1), ((1, 5, 6, 9),)),
    Case(MaxPool(Window((2, 2), (2, 2))), ((1, 5, 6, 19),)),
    Case(Mean(), ((1, 5, 3, 7),)),
    # So many pixels that sums of 4 bits outgrow 16 bits within a row.
    Case(Mean(keep_dims=False), ((1, 1, 10007, 5),)),
)

MOVES = (
    Case(Concat(), ((1, 3, 4, 3), (1, 3, 4, 5), (1, 3, 4, 1))),
    Case(Concat(), ((1, 1, 3, 1), (1, 1, 3, 7), (1, 1, 3, 9), (1, 1, 3, 3))),
    Case(Pad((1, 2, 3, 1)), ((1, 3, 4, 3),)),
    Case(Pad((1, 0, 0, 2), (3, 2), 1.5), ((1, 4, 3, 2),)),
    Case(Pad((0, 1, 1, 0), (0, 7), -0.75), ((1, 2, 3, 1),)),
    Case(ResizeNearest((7, 10)), ((1, 5, 7, 5),)),
    Case(ResizeNearest((3, 4), half_pixel_centers=True), ((1, 5, 7, 2),)),
)

SOFTMAX = tuple(Case(Softmax(beta), ((1, 3, 5, channels),)) for beta, channels in ((1.0, 10), (4.0, 3), (0.5, 1)))

CASES = (*REQUANTIZE, *CONVOLUTIONS, *DEPTHWISE, *FULLY_CONNECTED, *OF_TWO_OPERANDS, *POOLS, *MOVES, *SOFTMAX)
"""What each operator is tried on with every mix of bits."""

EMULATED = ("cortex-m4", "riscv32")

FIRST = tuple({case.operator.op_name: case for case in reversed(CASES)}.values())
"""The first case of each operator: on emulated cores and in TFLite Micro too."""


def cells(case: Case) -> list[Case]:
    """The case with every mix of bits that its operator can have; of three maps with bits of their own, every pair."""
    weights = MAP_BITS if case.operator.has_weights else (8,)
    graph = case_graph(replace(case, bits=(4, 4, 8)))
    # What an operator prescribes has 8 bits.
    outputs = (None,) if case.operator.ties_quantization else widest_choice(graph)[quantization_groups(graph)["output"]]
    mixes = [
        replace(case, bits=(source, target or source, weight), later_bits=_third(source, target, case))
        for source, target, weight in itertools.product(MAP_BITS, outputs, weights)
    ]
    return [cell for cell in mixes if cell.is_packed]


def _third(source: int, target: int | None, case: Case) -> int | None:
    """Bits of a second operand: a square in which every row and every column has all widths."""
    if target is None or len(case.maps) == 1:
        return None
    return MAP_BITS[(MAP_BITS.index(source) + MAP_BITS.index(target)) % len(MAP_BITS)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bytes_agree_in_every_cell(case: Case, tmp_path: Path) -> None:
    """The C under sanitizers, in nothing but the planned memory: layer by layer, streamed and in tiles in turns.

    Kernel sets take turns too, so that each mix of inputs and weights meets both of them with some width of the output.
    And TFLite Micro for the first case of each operator: it computes 8 bits everywhere, whatever the channels.
    """
    jobs = []
    for number, cell in enumerate(cells(case)):
        model, inputs = quantize_case(cell, case_graph(cell))
        if case in FIRST:
            compare(cell, "TFLM", run_reference(model, inputs, keep_maps=True).maps, run_micro(model, inputs))
        model = with_kernels(model, tuple(KernelSet)[number % len(KernelSet)])
        flow = Dataflow(model)
        names = tuple(layer.name for layer in flow.layers)
        height, width, _ = flow.shape(model.outputs[0].name)
        stages = [Stage(names), Stage(names, halo=Halo.KEPT)]
        if width > 1:
            stages.append(Stage(names, min(height, 2), 2))
        stage = stages[number // len(KernelSet) % len(stages)]
        jobs.append(Job(f"{cell}, {model.kernels}, {stage.schedule}", model, plan_of(flow, (stage,)), inputs))
    require_all_right(jobs, tmp_path)


@pytest.mark.parametrize("target", EMULATED)
@pytest.mark.parametrize("case", FIRST, ids=str)
def test_emulated_cores_compute_the_same_bytes(case: Case, target: str) -> None:
    """The first mix of bits on each core; others take turns."""
    first, *others = cells(case)[::5]
    for cell in (first, *others[EMULATED.index(target) :: len(EMULATED)]):
        model, inputs = quantize_case(cell, case_graph(cell))
        compare(cell, target, run_reference(model, inputs, keep_maps=True).maps, run_c(model, inputs, target))


def with_weights(case: Case, value: int) -> tuple[IntegerModel, np.ndarray]:
    """The case with DSP kernels and all weights alike, and inputs as large and as small as they can be."""
    model, inputs = quantize_case(case, case_graph(case))
    layers = []
    for layer in model.layers:
        operator = layer.operator
        if layer.output == "output":
            assert isinstance(operator, Conv2dInt8 | FullyConnectedInt8)
            weights = np.full_like(operator.arithmetic.weights, value)
            operator = replace(operator, arithmetic=replace(operator.arithmetic, weights=weights))
        layers.append(replace(layer, operator=operator))
    extremes = np.where(np.random.default_rng(abs(value)).random(inputs.shape) < 0.9, 127, -128).astype(np.int8)
    extremes[0] = 127
    extremes[1] = -128
    return with_kernels(replace(model, layers=tuple(layers)), KernelSet.DSP), extremes


def test_sums_that_share_a_register_hold_the_largest_products(tmp_path: Path) -> None:
    jobs = []
    for shape in (conv(2, 3, 72, 6, Window((1, 1))), Case(FullyConnected(), ((1, 2, 3, 56),), ((6, 336), (6,)))):
        for source, weights in ((4, 4), (2, 4), (8, 2), (4, 2), (2, 2), (8, 4)):
            for value in (1 - (1 << (weights - 1)), (1 << (weights - 1)) - 1):
                case = replace(shape, bits=(source, 8, weights))
                model, inputs = with_weights(case, value)
                flow = Dataflow(model)
                plan = plan_of(flow, (Stage(tuple(layer.name for layer in flow.layers)),))
                jobs.append(Job(f"{case}, weights {value}", model, plan, inputs))
    require_all_right(jobs, tmp_path)


@pytest.mark.parametrize(
    ("channels", "bits", "function"),
    [
        (1023, (8, 8, 2), "mk_conv2d_packed_dsp"),
        (1024, (8, 8, 2), "mk_conv2d_packed"),  # 128 * 1024 = 2^17
        (4993, (4, 8, 4), "mk_conv2d_packed_dsp"),
        (4994, (4, 8, 4), "mk_conv2d_packed"),  # 15 * 7 * 4993 < 2^19
        (2848, (8, 8, 4), "mk_conv2d_packed_dsp"),
        (2849, (8, 8, 4), "mk_conv2d_packed"),  # 128 * (15 * 2848 + 8 * 2848) < 2^23
    ],
)
def test_so_many_products_that_no_register_holds_their_sums_are_left_to_the_portable_kernel(
    channels: int, bits: tuple[int, int, int], function: str
) -> None:
    case = replace(conv(1, 1, channels, 2, Window((1, 1))), bits=bits)
    model, _ = with_weights(case, (1 << (bits[2] - 1)) - 1)
    layer = next(layer for layer in model.layers if layer.output == "output")
    assert layer.kernel is not None
    assert layer.kernel.function == function


@pytest.mark.parametrize("bits", MAP_BITS)
def test_the_bound_covers_sums_of_weights_as_they_are_stored(bits: int) -> None:
    """Inputs times stored weights reach far where weights are small; no shift makes these sums larger."""
    weights, zeros = np.array([[1, -1] * 50], np.int8), np.zeros(1, np.int64)
    bias = np.array([-1000], np.int64)
    arithmetic = FilterArithmetic(weights, bias, bias, zeros, zeros, 0, 0, -128, 127, bits)
    offset = 0 if bits == 8 else 1 << (bits - 1)
    farthest = abs(-1000 - 128 * (weights.astype(int) + offset).sum())

    assert arithmetic.largest_accumulator((1,)) >= max(farthest, 1000 + 128 * 100)
    shifted = replace(arithmetic, shift=np.array([3]))
    assert shifted.largest_accumulator((1,)) == max(
        8 * (1000 + 128 * 100), 1000 + 128 * 200 * offset if bits != 8 else 0
    )

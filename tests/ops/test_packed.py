# SPDX-License-Identifier: Apache-2.0
"""Maps and weights of 8, 4 and 2 bits in any mix: every operator, every cell, every executor, every byte."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.reference import run_reference
from mcukit.ops.activation import RELU, RELU6
from mcukit.ops.filters import FilterArithmetic
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.requantize import Requantize
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.packing import MAP_BITS
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

CASES = (*REQUANTIZE, *CONVOLUTIONS, *DEPTHWISE, *FULLY_CONNECTED)
"""What each operator is tried on with every mix of bits; the first case of each operator on emulated cores too."""

FIRST = tuple({case.operator.op_name: case for case in reversed(CASES)}.values())


def cells(case: Case) -> list[Case]:
    """The case with every mix of bits that its operator can have."""
    weights = MAP_BITS if case.operator.has_weights else (8,)
    outputs = (None,) if case.operator.ties_quantization else MAP_BITS
    return [
        replace(case, bits=(source, target or source, weight))
        for source, target, weight in itertools.product(MAP_BITS, outputs, weights)
        if (source, target or source, weight) != (8, 8, 8)
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bytes_agree_in_every_cell(case: Case, tmp_path: Path) -> None:
    """The C under sanitizers, in nothing but the planned memory, layer by layer and in tiles; and TFLite Micro."""
    jobs = []
    for cell in cells(case):
        model, inputs = quantize_case(cell, case_graph(cell))
        compare(cell, "TFLM", run_reference(model, inputs, keep_maps=True).maps, run_micro(model, inputs))
        flow = Dataflow(model)
        names = tuple(layer.name for layer in flow.layers)
        height, width, _ = flow.shape(model.outputs[0].name)
        stages = [Stage(names), Stage(names, halo=Halo.KEPT)]
        if width > 1:
            stages.append(Stage(names, min(height, 2), 2))
        jobs += [Job(f"{cell}, {stage.schedule}", model, plan_of(flow, (stage,)), inputs) for stage in stages]
    require_all_right(jobs, tmp_path)


@pytest.mark.parametrize("target", ["cortex-m4", "riscv32"])
@pytest.mark.parametrize("case", FIRST, ids=str)
def test_emulated_cores_compute_the_same_bytes(case: Case, target: str) -> None:
    for cell in cells(case)[::3]:
        model, inputs = quantize_case(cell, case_graph(cell))
        compare(cell, target, run_reference(model, inputs, keep_maps=True).maps, run_c(model, inputs, target))


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

# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolutions of packed maps with DSP kernels: the C of their instructions under sanitizers.

In their own instructions they run with the kernels of other operators, in test_dsp_kernels.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from mcukit.calibration.ranges import Range
from mcukit.ops.activation import RELU, RELU6
from mcukit.ops.depthwise_conv2d import DepthwiseConv2dInt8
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel, Layer
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.quantize import quantize_graph
from tests.ops.harness import Case, case_graph
from tests.ops.test_depthwise_conv2d import SAME3, depthwise
from tests.planning.batch import Job, require_all_right

MIXES = tuple(mix for mix in product(MAP_BITS, repeat=3) if mix != (8, 8, 8))
"""Bits of input, output and weights that call packed kernels."""

SHAPES = (
    *(depthwise(4, 5, channels, SAME3, seed=channels) for channels in range(1, 10)),
    # Rows of more columns than are computed together, in both strides, and odd ones.
    depthwise(3, 67, 5, SAME3),
    depthwise(5, 131, 4, Window((3, 3), (2, 2), pads=(0, 0, 1, 1))),
    depthwise(4, 35, 12, Window((3, 3), (1, 2), pads=(2, 3, 1, 2))),
    # Rows of the window that are far apart, or of which one or two exist; columns of which few exist.
    depthwise(6, 5, 4, Window((3, 3), (1, 1), (2, 1), pads=(2, 1, 2, 1))),
    depthwise(1, 1, 8, SAME3),
    depthwise(2, 4, 10, SAME3),
    depthwise(3, 3, 7, Window((3, 3))),
    depthwise(9, 8, 16, Window((3, 3), (2, 1), pads=(1, 1, 1, 1))),
    # Outputs that finish fast, and rows of every length.
    *(depthwise(5, width, 4 + width % 5, SAME3, seed=width, clamp=RELU) for width in range(1, 9)),
    *(depthwise(7, 2 * width, 6, Window((3, 3), (2, 2), pads=(0, 0, 1, 1)), clamp=RELU6) for width in range(2, 7)),
    # So many channels that weights stay packed.
    depthwise(2, 2, 261, SAME3),
)
ANY_SHAPES = (
    *(depthwise(5, 6, channels, Window((5, 5), pads=(2, 2, 2, 2)), seed=channels) for channels in range(1, 10)),
    depthwise(6, 37, 4, Window((5, 7), pads=(2, 3, 2, 3))),
    depthwise(6, 41, 6, Window((4, 5), (1, 2), pads=(1, 3, 2, 3))),
    depthwise(9, 13, 20, Window((3, 3), (2, 3), (1, 2), pads=(1, 2, 1, 2))),
    depthwise(4, 3, 8, Window((1, 1))),
    depthwise(8, 7, 3, Window((7, 7), (2, 2), pads=(3, 3, 3, 3))),
)
"""Windows that have another kernel."""


def in_mixes(cases: Sequence[Case], first: int) -> tuple[Case, ...]:
    """The cases with one mix of bits each, in an order in which neighbours differ in all three."""
    return tuple(replace(case, bits=MIXES[(first + 7 * i) % len(MIXES)]) for i, case in enumerate(cases))


CASES = (*in_mixes(SHAPES * 2, 0), *in_mixes(ANY_SHAPES * 2, 3))

FUNCTIONS = ("mk_depthwise_conv2d_packed_dsp", "mk_depthwise_conv2d_any_packed_dsp")


def quantized(case: Case, number: int) -> tuple[IntegerModel, np.ndarray]:
    """The case with DSP kernels, and inputs. Ranges are not calibrated: what counts are factors of every size.

    Every third output has a range that asks for shifts to the left, and every fourth one is limited.
    """
    generator = np.random.default_rng(number)
    graph = case_graph(case)
    ranges = {tensor.name: Range.around_zero(*generator.uniform((-4, 2), (-2, 4))) for tensor in graph.maps()}
    if number % 3 == 0:
        ranges["output"] = Range.around_zero(-1 / 32, 1 / 64)
    model = lower(quantize_graph(graph, ranges, case.precision(graph)), KernelSet.DSP)
    model = replace(model, layers=tuple(limited(layer, number) for layer in model.layers))
    inputs = generator.integers(-128, 128, (2, *model.input.shape[1:])).astype(np.int8)
    return model, inputs


def limited(layer: Layer, number: int) -> Layer:
    """The layer with fewer values than its output's bits hold, as an activation may have it, if it is its turn."""
    operator = layer.operator
    if number % 4 != 1 or not isinstance(operator, DepthwiseConv2dInt8):
        return layer
    half = 1 << (layer.output_form.bits - 1)
    arithmetic = replace(operator.arithmetic, minimum=1 - half, maximum=half - 1 - number % 8 // 4)
    return replace(layer, operator=replace(operator, arithmetic=arithmetic))


def job(case: Case, number: int) -> Job:
    """Layer by layer, streamed and in tiles of two columns in turns."""
    model, inputs = quantized(case, number)
    flow = Dataflow(model)
    names = tuple(layer.name for layer in flow.layers)
    height, width, _ = flow.shape(model.outputs[0].name)
    stages = [Stage(names), Stage(names, halo=Halo.KEPT)]
    if width > 1:
        stages.append(Stage(names, min(height, 2), 2))
    stage = stages[number % len(stages)]
    return Job(f"{number}: {case}, {stage.schedule}", model, plan_of(flow, (stage,)), inputs)


def test_bytes_agree_with_every_mix_of_bits(tmp_path: Path) -> None:
    jobs = [job(case, number) for number, case in enumerate(CASES)]
    layers = [layer for each in jobs for layer in each.model.steps if isinstance(layer.operator, DepthwiseConv2dInt8)]
    for function in FUNCTIONS:
        own = [layer for layer in layers if layer.kernel and layer.kernel.function == function]
        mixes = {(layer.forms[0].bits, layer.output_form.bits, layer.operator.weight_bits) for layer in own}
        assert mixes == set(MIXES)
    require_all_right(jobs, tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""The MVE kernels: the cases of all operators that have such kernels, on the host and on a Cortex-M55.

On the host they run over their instructions in C, and must keep to the memory of their case. The core starts once: all
cases are branches of one network. Whole networks are in tests/networks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.reference import run_reference
from mcukit.ops.depthwise_conv2d import DepthwiseConv2dInt8
from mcukit.ops.window import Window
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel, Layer, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from tests.ops import test_conv2d, test_depthwise_conv2d, test_dsp_kernels, test_fully_connected
from tests.ops.harness import case_graph, check, quantize_case, run_c
from tests.ops.test_conv2d import conv
from tests.ops.test_depthwise_conv2d import SAME3, depthwise
from tests.planning.batch import Job, require_all_right

MORE = (
    # Every number of pixels and of filters that is left over, with taps in one vector and in several.
    *(conv(1, width, 17, filters, Window((1, 1)), seed=width) for width in range(1, 7) for filters in (3, 5, 6)),
    *(conv(2, 4, taps, 7, Window((1, 1)), seed=taps) for taps in (15, 16, 31, 32, 33, 48)),
    # Rows of windows that are longer than a vector, at borders and inside.
    *(conv(5, 9, channels, 6, test_conv2d.GEOMETRY[1].operator.window, seed=channels) for channels in (7, 20)),
    # Channels in several vectors, the last one full and not; several pixels in one vector, and rows that end within.
    *(depthwise(4, 7, channels, SAME3, seed=channels) for channels in (16, 17, 31, 32, 33, 40)),
    *(depthwise(4, width, 3, SAME3, seed=width) for width in (1, 2, 6, 7, 8, 13)),
    *(depthwise(6, 7, 21, Window((size, 3), (1, 2), (2, 1), pads=(2, 1, 2, 1)), seed=size) for size in (2, 4)),
)
CASES = (*test_conv2d.CASES, *test_depthwise_conv2d.CASES, *test_fully_connected.CASES, *MORE)
OWN = {"mk_conv2d_s8_mve", "mk_depthwise_conv2d_s8_mve", "mk_fully_connected_s8_mve"}


@pytest.fixture(scope="module")
def everything() -> tuple[IntegerModel, np.ndarray]:
    cases = [case for case in CASES if len(case.maps[0]) == len(test_dsp_kernels.INPUT)]
    model, inputs = test_dsp_kernels.quantized(*test_dsp_kernels.merged(cases))
    return with_kernels(model, KernelSet.MVE), inputs


def layers_of(model: IntegerModel, function: str) -> list[Layer]:
    return [layer for layer in model.layers if layer.kernel and layer.kernel.function == function]


def test_the_cases_reach_every_path(everything: tuple[IntegerModel, np.ndarray]) -> None:
    model, _ = everything
    for function in OWN - {"mk_fully_connected_s8_mve"}:
        layers = layers_of(model, function)
        shifts = [layer.operator.arithmetic.shift for layer in layers]  # type: ignore[attr-defined]
        # Kernels have a way of their own for layers without a shift to the left.
        assert any((shift < 0).all() for shift in shifts)
        assert any((shift == 0).any() for shift in shifts)
        assert any((shift > 0).any() for shift in shifts)
    # Several filters for a channel are left to the portable kernel, additions and the like to those of DSP.
    functions = {layer.kernel.function for layer in model.layers if layer.kernel}
    assert functions >= OWN | {"mk_depthwise_conv2d_s8"}


def test_every_case_on_the_host(tmp_path: Path) -> None:
    check(CASES, tmp_path, KernelSet.MVE)


def test_bytes_agree(everything: tuple[IntegerModel, np.ndarray]) -> None:
    model, inputs = everything
    expected = run_reference(model, inputs, keep_maps=True).maps
    found = run_c(model, inputs, "cortex-m55")
    assert len(found) == len(model.steps)
    for name, values in found.items():
        np.testing.assert_array_equal(expected[name], values, err_msg=f"'{name}'", strict=True)


def with_smallest_weights(model: IntegerModel, smallest: int) -> IntegerModel:
    """The model with depthwise weights that are all the same, and MVE kernels."""

    def changed(layer: Layer) -> Layer:
        operator = layer.operator
        if not isinstance(operator, DepthwiseConv2dInt8):
            return layer
        arithmetic = operator.arithmetic
        weights = np.full_like(arithmetic.weights, smallest)
        folded = arithmetic.bias - arithmetic.input_zero_point * weights.sum(axis=(0, 1, 2))
        arithmetic = replace(arithmetic, weights=weights, folded_bias=folded, shift=np.full_like(arithmetic.shift, -11))
        return replace(layer, operator=replace(operator, arithmetic=arithmetic))

    return with_kernels(replace(model, layers=tuple(map(changed, model.layers))), KernelSet.MVE)


def test_sums_of_two_products_stay_within_16_bits(tmp_path: Path) -> None:
    """The largest products there are; of weights of -128 two would not fit, and another kernel takes them."""
    case = depthwise(3, 5, 16, SAME3)
    plain, inputs = quantize_case(case, case_graph(case))
    assert not layers_of(with_smallest_weights(plain, -128), "mk_depthwise_conv2d_s8_mve")
    model, inputs = with_smallest_weights(plain, -127), np.full_like(inputs[:1], -128)
    assert layers_of(model, "mk_depthwise_conv2d_s8_mve")
    expected = run_reference(model, inputs, keep_maps=True).maps["output"]
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(expected, run_c(model, inputs, "cortex-m55")["output"])
    require_all_right([Job(str(case), model, plan_layers(model), inputs)], tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""The MVE kernels in their own instructions: the cases of all operators that have such kernels, on a Cortex-M55.

The core starts once: all cases are branches of one network. That the same kernels give these bytes over the
instructions in C, and keep to their memory, is tested on the host by the operators' own tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.preprocessing import Preprocessing
from mcukit.demo import SCALE, demo_model_path
from mcukit.emulation.reference import run_reference
from mcukit.ops.depthwise_conv2d import DepthwiseConv2dInt8
from mcukit.ops.window import Window
from mcukit.quantized.integer import IntegerModel, IntegerOperator, Layer, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.workflow.quantize import QuantizeOptions, quantize
from mcukit.workflow.verify import verify
from tests.ops import test_conv2d, test_depthwise_conv2d, test_dsp_kernels, test_fully_connected
from tests.ops.harness import case_graph, quantize_case, run_c
from tests.ops.test_conv2d import conv
from tests.ops.test_depthwise_conv2d import SAME3, depthwise

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
CASES = (
    *test_conv2d.CASES,
    *test_depthwise_conv2d.CASES,
    *(case for case in test_fully_connected.CASES if len(case.maps[0]) == len(test_dsp_kernels.INPUT)),
    *MORE,
)
OWN = {"mk_conv2d_s8_mve", "mk_depthwise_conv2d_s8_mve", "mk_fully_connected_s8_mve"}


@pytest.fixture(scope="module")
def everything() -> tuple[IntegerModel, np.ndarray]:
    model, inputs = test_dsp_kernels.quantized(test_dsp_kernels.merged(CASES))
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


def test_bytes_agree(everything: tuple[IntegerModel, np.ndarray]) -> None:
    model, inputs = everything
    expected = run_reference(model, inputs, keep_maps=True).maps
    found = run_c(model, inputs, "cortex-m55")
    assert len(found) == len(model.steps)
    for name, values in found.items():
        np.testing.assert_array_equal(expected[name], values, err_msg=f"'{name}'", strict=True)


def test_a_whole_network_computes_the_same(tmp_path: Path) -> None:
    options = QuantizeOptions(preprocessing=Preprocessing(SCALE), calibration_limit=4, kernels="mve")
    build = quantize(demo_model_path(), tmp_path / "build", options)
    assert build.manifest["kernels"] == build.report["kernels"] == "mve"
    assert "Kernels: mve" in (build.folder / "model" / "digits96.c").read_text()
    functions = {layer.kernel.function for layer in build.model.layers if layer.kernel}
    assert functions >= {"mk_conv2d_s8_mve", "mk_depthwise_conv2d_s8_mve"}
    assert verify(build, on="cortex-m55").equal


def extremes(model: IntegerModel, change: Callable[[IntegerOperator], IntegerOperator]) -> IntegerModel:
    return replace(model, layers=tuple(replace(layer, operator=change(layer.operator)) for layer in model.layers))


@pytest.mark.parametrize("smallest", [-127, -128])
@pytest.mark.parametrize("target", ["host", "cortex-m55"])
def test_sums_of_two_products_stay_within_16_bits(smallest: int, target: str) -> None:
    """The largest products there are; of weights of -128 two would not fit, and another kernel takes them."""
    case = depthwise(3, 5, 16, SAME3)
    model, inputs = quantize_case(case, case_graph(case))

    def with_extreme_weights(operator: IntegerOperator) -> IntegerOperator:
        if not isinstance(operator, DepthwiseConv2dInt8):
            return operator
        weights = np.full_like(operator.arithmetic.weights, smallest)
        folded = operator.arithmetic.bias - operator.arithmetic.input_zero_point * weights.sum(axis=(0, 1, 2))
        shift = np.full_like(operator.arithmetic.shift, -11)
        arithmetic = replace(operator.arithmetic, weights=weights, folded_bias=folded, shift=shift)
        return replace(operator, arithmetic=arithmetic)

    model = with_kernels(extremes(model, with_extreme_weights), KernelSet.MVE)
    assert bool(layers_of(model, "mk_depthwise_conv2d_s8_mve")) == (smallest == -127)
    inputs = np.full_like(inputs[:1], -128)
    expected = run_reference(model, inputs, keep_maps=True).maps["output"]
    np.testing.assert_array_equal(expected, run_c(model, inputs, target)["output"])
    assert len(np.unique(expected)) > 1

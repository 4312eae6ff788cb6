# SPDX-License-Identifier: Apache-2.0
"""Which set's kernel a layer gets. What kernels take is in tests/benchmarks: here it is made up, or only estimated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from mcukit.calibration.ranges import Range
from mcukit.graph.graph import Graph
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.window import Window
from mcukit.planning.costs import CostTable, KernelCost, load_costs
from mcukit.planning.kernel_choice import KernelEstimate, choose_kernels, kernel_estimates
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel, other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KernelSet, first_set_with
from mcukit.quantized.lower import lower
from mcukit.quantized.quantize import quantize_graph
from tests.planning.batch import Job, require_all_right
from tests.planning.networks import POINT, SAME, Network
from tests.planning.test_branches import branched

COSTS = load_costs("cortex-m4")
LARGE, SMALL = "conv2d0", "conv2d2"


def network() -> Graph:
    """A convolution of 6x6 pixels, a pool that leaves one, and a convolution of that one."""
    net = Network(6, 6, 2)
    pooled = net.add(MaxPool(Window((6, 6))), net.conv("input", 4, SAME))
    return net.graph(net.conv(pooled, 3, POINT))


def lowered(kernels: KernelSet) -> IntegerModel:
    graph = network()
    return lower(quantize_graph(graph, {tensor.name: Range(-1.0, 2.0) for tensor in graph.maps()}), kernels)


def functions(model: IntegerModel) -> dict[str, str]:
    return {layer.name: layer.kernel.function for layer in model.steps if layer.kernel}


def with_costs(table: CostTable = COSTS, **kernels: tuple[float, float]) -> CostTable:
    """All kernels cost nothing but so many instructions a call, with such an error in percent."""

    def cost(function: str, old: KernelCost) -> KernelCost:
        instructions, error = kernels[function]
        return replace(old, coefficients=(instructions, *(0.0 for _ in old.coefficients[1:])), mean_error=error)

    entries = {name: cost(name, old) for name, old in table.kernels.items() if name in kernels}
    return replace(table, kernels=MappingProxyType(entries))


def test_layers_with_little_to_compute_get_portable_kernels() -> None:
    model = choose_kernels(lowered(KernelSet.DSP), COSTS)
    assert functions(model) == {LARGE: "mk_conv2d_s8_dsp", "max_pool1": "mk_max_pool_s8_dsp", SMALL: "mk_conv2d_s8"}
    assert (model.kernels, other_kernels(model)) == (KernelSet.DSP, {SMALL: KernelSet.PORTABLE})


@pytest.mark.parametrize("kernels", KernelSet)
def test_no_layer_gets_a_kernel_of_a_later_set(kernels: KernelSet) -> None:
    sets = list(KernelSet)
    for costs in (COSTS, load_costs("cortex-m55")):
        chosen = choose_kernels(lowered(kernels), costs)
        assert all(sets.index(layer.kernels) <= sets.index(kernels) for layer in chosen.steps)


def test_a_choice_made_anew_is_the_same() -> None:
    once = choose_kernels(lowered(KernelSet.DSP), COSTS)
    assert functions(choose_kernels(once, COSTS)) == functions(once)
    assert functions(with_kernels(lowered(KernelSet.PORTABLE), KernelSet.DSP, other_kernels(once))) == functions(once)


@pytest.mark.parametrize(
    ("portable", "dsp", "expected"),
    [
        ((99.0, 0.0), (100.0, 0.0), "mk_conv2d_s8"),
        ((100.0, 0.0), (100.0, 0.0), "mk_conv2d_s8_dsp"),
        ((101.0, 0.0), (100.0, 0.0), "mk_conv2d_s8_dsp"),
        # Less is saved than the estimates err.
        ((96.0, 3.0), (100.0, 2.0), "mk_conv2d_s8_dsp"),
        ((94.0, 3.0), (100.0, 2.0), "mk_conv2d_s8"),
    ],
)
def test_estimates_that_err_decide_only_beyond_their_errors(
    portable: tuple[float, float], dsp: tuple[float, float], expected: str
) -> None:
    costs = with_costs(mk_conv2d_s8=portable, mk_conv2d_s8_dsp=dsp)
    assert functions(choose_kernels(lowered(KernelSet.DSP), costs))[LARGE] == expected


@pytest.mark.parametrize(
    ("portable", "dsp", "saves"),
    [((90, 95), (100, 100), True), ((90, 100), (100, 100), False), ((100, 90), (100, 100), False)],
)
def test_a_kernel_must_save_in_one_call_and_row_by_row(
    portable: tuple[int, int], dsp: tuple[int, int], saves: bool
) -> None:
    first, second = (KernelEstimate("f", *counts, error=0.0, scratch_bytes=0) for counts in (portable, dsp))
    assert first.saves_beside(second) == saves
    assert not second.saves_beside(first)


def test_a_function_that_saves_hardly_anything_is_not_worth_its_code() -> None:
    # Of the pool's instructions a sixtieth would be saved, by a function that no other layer has.
    cheap = {"mk_conv2d_s8": (1e6, 0.0), "mk_conv2d_s8_dsp": (1000.0, 0.0), "mk_max_pool_s8_dsp": (60.0, 0.0)}
    for saved, expected in ((1.0, "mk_max_pool_s8_dsp"), (59.0, "mk_max_pool_s8")):
        costs = with_costs(**cheap, mk_max_pool_s8=(60.0 - saved, 0.0))
        assert functions(choose_kernels(lowered(KernelSet.DSP), costs))["max_pool1"] == expected


def test_what_was_not_measured_is_not_chosen_from() -> None:
    only_portable = with_costs(mk_conv2d_s8=(1.0, 0.0))
    model = lowered(KernelSet.DSP)
    assert functions(choose_kernels(model, only_portable)) == functions(model)
    estimates = kernel_estimates(model.steps[0], model.graph, only_portable, KernelSet.DSP)
    assert [(kernels, each.function) for kernels, each in estimates.items()] == [(KernelSet.PORTABLE, "mk_conv2d_s8")]


def test_forms_of_tiles_never_need_more_constants() -> None:
    costs = load_costs("cortex-m55")
    for kernels in KernelSet:
        model = with_kernels(branched(wide=((0, 1),))[0], kernels)
        for order in (1, -1):
            # By these costs every layer would take the kernel of the first set that it has one in, or of the last one.
            ranked = {
                name: (1.0 + 10 * order * list(KernelSet).index(first_set_with(name)) + 20, 0.0)
                for name in costs.kernels
            }
            chosen = choose_kernels(model, with_costs(costs, **ranked))
            assert chosen.weight_bytes <= model.weight_bytes


def test_networks_with_kernels_of_several_sets_compute_the_same_bytes(tmp_path: Path) -> None:
    model = choose_kernels(lowered(KernelSet.DSP), COSTS)
    assert len({layer.kernels for layer in model.steps}) == 2
    image = np.random.default_rng(0).integers(-128, 128, (3, 6, 6, 2)).astype(np.int8)
    require_all_right([Job("chosen", model, plan_layers(model), image)], tmp_path)

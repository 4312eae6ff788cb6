# SPDX-License-Identifier: Apache-2.0
"""Networks that fit only with kernels of less memory: how many layers get them, and that all bytes stay right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.ranges import Range
from mcukit.errors import McukitError
from mcukit.planning.choose import PlanRequest, choose_plan
from mcukit.planning.costs import load_costs
from mcukit.planning.kernel_choice import choose_kernels
from mcukit.planning.lean_kernels import plan_with_lean_kernels, with_lean_kernels
from mcukit.planning.search import FoundPlan
from mcukit.quantized.integer import IntegerModel, other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.quantize import quantize_graph
from tests.planning.batch import Job, require_all_right
from tests.planning.networks import NETWORKS, POINT, Network, network_named

COSTS = load_costs("cortex-m4")
DSP = KernelSet.DSP


def chosen(name: str) -> IntegerModel:
    return choose_kernels(with_kernels(network_named(name)[0], DSP), COSTS)


def arena(model: IntegerModel) -> int:
    return choose_plan(model, PlanRequest("layers")).plan.arena_bytes


def within(sram: int) -> Callable[[IntegerModel], FoundPlan]:
    return lambda model: choose_plan(model, PlanRequest("layers", sram=sram))


GAINING = [name for name in NETWORKS if arena(with_lean_kernels(chosen(name), COSTS)) < arena(chosen(name))]


def test_some_networks_gain() -> None:
    assert len(GAINING) >= 3


@pytest.mark.parametrize("name", GAINING)
def test_a_network_that_just_does_not_fit_gets_as_few_as_will_do(name: str) -> None:
    model = chosen(name)
    lean = with_lean_kernels(model, COSTS)
    before, least = arena(model), arena(lean)
    changed = {layer: kernels for layer, kernels in other_kernels(lean).items() if layer not in other_kernels(model)}
    for budget in {least, before - 1}:
        fitting, found = plan_with_lean_kernels(model, COSTS, within(budget))
        assert found.plan.arena_bytes == arena(fitting) <= budget
        new = other_kernels(fitting).keys() - other_kernels(model).keys()
        assert new <= changed.keys()
        # No layer has them in vain.
        for layer in new:
            kept = {name: kernels for name, kernels in other_kernels(fitting).items() if name != layer}
            assert arena(with_kernels(model, DSP, kept)) > budget


@pytest.mark.parametrize("name", GAINING)
def test_less_than_the_least_is_refused_with_what_would_do(name: str) -> None:
    model = chosen(name)
    least = arena(with_lean_kernels(model, COSTS))
    for settle in (False, True):
        with pytest.raises(McukitError, match=f"a budget of {least:,} bytes would do") as caught:
            plan_with_lean_kernels(model, COSTS, within(least - 1), settle=settle)
        assert caught.value.problems[0].code == "budget-exceeded"


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def search(_: IntegerModel) -> FoundPlan:
        raise McukitError("bad-plan", "there is none")

    with pytest.raises(McukitError, match="there is none"):
        plan_with_lean_kernels(chosen(GAINING[0]), COSTS, search)


@pytest.mark.parametrize("kernels", KernelSet)
def test_lean_kernels_need_no_more_than_any_others(kernels: KernelSet) -> None:
    for name in NETWORKS:
        model = with_kernels(network_named(name)[0], kernels)
        for layer, lean in zip(model.steps, with_lean_kernels(model, COSTS).steps, strict=True):
            assert layer.kernel is not None
            assert lean.kernel is not None
            assert lean.kernel.scratch_bytes <= layer.kernel.scratch_bytes


def test_among_kernels_of_equal_memory_the_quickest_is_taken() -> None:
    """A 1x1 convolution needs no working memory, whether portable or with Helium, but with DSP instructions it does."""
    net = Network(49, 1, 24)
    graph = net.graph(net.conv("input", 32, POINT))
    ranges = {tensor.name: Range(-1.0, 2.0) for tensor in graph.maps()}
    helium, costs = lower(quantize_graph(graph, ranges), KernelSet.MVE), load_costs("cortex-m55")
    (name,) = [layer.name for layer in helium.steps]
    with_dsp = with_kernels(helium, KernelSet.MVE, {name: KernelSet.DSP})
    assert [layer.kernels for layer in with_lean_kernels(with_dsp, costs).steps] == [KernelSet.MVE]
    assert other_kernels(with_lean_kernels(helium, costs)) == {}


def test_all_bytes_are_right(tmp_path: Path) -> None:
    jobs = []
    for name in GAINING:
        model = chosen(name)
        least = arena(with_lean_kernels(model, COSTS))
        fitting, found = plan_with_lean_kernels(model, COSTS, within((least + arena(model)) // 2))
        shape = fitting.input.shape[1:]
        image = np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)
        jobs.append(Job(name, fitting, found.plan, image))
    require_all_right(jobs, tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Bits that are searched together with stages fit, and cost less error than bits that are searched for BitOPs alone."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import collect_statistics
from mcukit.errors import McukitError
from mcukit.graph.region import whole_region
from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM
from mcukit.planning.costs import load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.search import PlanSearch
from mcukit.precision.bitops import BitopsCost
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.precision import INT8, Precision, widest_choice
from mcukit.workflow.bits import BitsOptions
from mcukit.workflow.code_size import functions_of
from mcukit.workflow.mixed import Calibrated, bits_by_sensitivity
from mcukit.workflow.progress import no_progress
from mcukit.workflow.room import Room, memory_costs, whole_model
from tests.planning.networks import HALVE, POINT, Network


def _calibrated() -> Calibrated:
    """A chain whose first maps need most memory and whose last layers most multiplications."""
    net = Network(16, 16, 3)
    last = net.conv(net.depthwise(net.conv("input", 8, HALVE)), 16, POINT)
    last = net.conv(net.depthwise(last, HALVE), 48, POINT)
    graph = net.graph(net.dense(net.conv(last, 48), 4))
    model = FloatModel(graph)
    inputs = np.random.default_rng(3).normal(size=(24, 16, 16, 3)).astype(np.float32)
    return Calibrated(model, collect_statistics(model, inputs), inputs)


CALIBRATED = _calibrated()


def smallest(model: IntegerModel, *, pushed: bool) -> int:
    found = PlanSearch(Dataflow(model), load_costs(), (LAYER_BY_LAYER, STREAM), pushed=pushed).smallest()
    assert found is not None
    return found.plan.arena_bytes


def arena(precision: Precision, *, pushed: bool) -> int:
    return smallest(whole_model(CALIBRATED.graph, CALIBRATED.statistics, precision), pushed=pushed)


def estimate_of(model: IntegerModel) -> int:
    costs = load_costs()
    return sum(
        costs.instructions(layer, model.graph, whole_region(model.graph.tensors[layer.output]))
        for layer in model.layers
    )


@pytest.mark.parametrize("pushed", [False, True])
def test_bytes_that_do_not_fit_cost_more_than_all_bitops(pushed: bool) -> None:
    graph, bitops = CALIBRATED.graph, BitopsCost(CALIBRATED.graph)
    narrow = Precision({group: 4 for group, widths in widest_choice(graph).items() if 4 in widths and group != "input"})
    needed = arena(INT8, pushed=pushed)
    roomy = memory_costs(graph, CALIBRATED.statistics, 2 * needed, pushed=pushed)
    tight = memory_costs(graph, CALIBRATED.statistics, needed // 2, pushed=pushed)
    assert roomy
    for cost in roomy:
        assert cost(INT8) == bitops(INT8)
        assert cost(narrow) == bitops(narrow)
    for cost in tight:
        assert cost(INT8) - cost(narrow) > bitops(INT8)


@pytest.mark.parametrize("share", [0.9, 0.75, 0.65])
def test_bits_fit_at_no_more_error_than_the_order_of_bitops_needs(share: float) -> None:
    budget = int(share * arena(INT8, pushed=True))
    options = BitsOptions(max_error=0.5, weights=False)

    def found(sram: int | None) -> tuple[float, int]:
        room = Room(lambda model: smallest(model, pushed=True) <= budget, sram, pushed=True)
        bits = bits_by_sensitivity(CALIBRATED, options, no_progress, room)
        step = next(step for step in bits.search.steps if step.precision == bits.precision)
        return step.error, arena(bits.precision, pushed=True)

    error, needed = found(budget)
    assert needed <= budget
    assert error <= found(None)[0]


def test_no_room_is_one_clear_error() -> None:
    room = Room(lambda model: smallest(model, pushed=True) <= 100, 100, pushed=True)
    with pytest.raises(McukitError) as caught:
        bits_by_sensitivity(CALIBRATED, BitsOptions(weights=False), no_progress, room)
    assert [problem.code for problem in caught.value.problems] == ["budget-exceeded"]


def test_code_counts_and_may_grow_where_bits_become_fewer() -> None:
    """Kernels for fewer bits bring code of their own: a few narrow layers do not fit any more, many do."""
    int8 = whole_model(CALIBRATED.graph, CALIBRATED.statistics, INT8)
    budget = int8.weight_bytes - 1

    def fits(model: IntegerModel) -> bool:
        more = functions_of(model) - functions_of(int8)
        return model.weight_bytes + int8.weight_bytes // 8 * len(more) <= budget

    options = BitsOptions(max_error=5.0, maps=False, images=8)
    room = Room(fits, counts_code=lambda model: True, fits_flash=fits)
    found = bits_by_sensitivity(CALIBRATED, options, no_progress, room)
    assert fits(whole_model(CALIBRATED.graph, CALIBRATED.statistics, found.precision))


@pytest.mark.parametrize("bitops", [None, 1.02])
def test_a_search_for_instructions_saves_these(bitops: float | None) -> None:
    options = BitsOptions(max_error=5.0, save="instructions", bitops=bitops)
    found = bits_by_sensitivity(CALIBRATED, options, no_progress)
    graph, statistics = CALIBRATED.graph, CALIBRATED.statistics
    few, many = (estimate_of(whole_model(graph, statistics, precision)) for precision in (found.precision, INT8))
    assert few < many
    assert few == next(step.cost for step in found.search.steps if step.precision == found.precision)
    if bitops is not None:
        assert BitopsCost(graph)(INT8) >= 1.02 * BitopsCost(graph)(found.precision)

# SPDX-License-Identifier: Apache-2.0
"""The search against error models whose answers are known, and once over a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import collect_statistics
from mcukit.errors import McukitError
from mcukit.precision.bitops import BitopsCost
from mcukit.precision.sensitivity import (
    Narrowing,
    SearchStep,
    SensitivityResult,
    Target,
    measure_sensitivities,
    search_sensitivity,
)
from mcukit.precision.simulated_error import SimulatedError
from mcukit.quantized.precision import INT8, Precision
from tests.float_networks import classifier, images

GRAPH = classifier()
BASE = 0.01
FOUR = {"conv2d0": 0.02, "depthwise_conv2d1": 0.05, "conv2d2": 0.01, "add3": 0.001, "conv2d4": 0.3, "mean5": 0.0}
"""Errors of maps at 4 bits; at 2 they are four times as large. Weights are ten times less sensitive."""


class Additive:
    """Errors that add up, times `truth` when everything is measured together."""

    def __init__(self, truth: float = 1.0) -> None:
        self.truth = truth
        self.measured: list[Precision] = []

    def of(self, precision: Precision) -> float:
        self.measured.append(precision)
        return BASE + self.truth * self.total(precision)

    def alone(
        self, changes: Sequence[Precision], progress: Callable[[int, int], None] | None = None
    ) -> tuple[float, ...]:
        if progress:
            progress(len(changes), len(changes))
        return tuple(self.total(change) for change in changes)

    def total(self, precision: Precision) -> float:
        factor = {8: 0.0, 4: 1.0, 2: 4.0}
        maps = sum(FOUR.get(name, 0.1) * factor[bits] for name, bits in precision.maps.items())
        return maps + sum(FOUR.get(name, 0.1) * factor[bits] / 10 for name, bits in precision.weights.items())


def search(target: Target, errors: Additive | None = None, **options: int) -> SensitivityResult:
    model = errors or Additive()
    sensitivities = measure_sensitivities(GRAPH, model, weight_bits=())
    return search_sensitivity(GRAPH, model, sensitivities, BitopsCost(GRAPH), target, **options)


def test_every_map_and_every_layers_weights_are_tried() -> None:
    found = measure_sensitivities(GRAPH, Additive())
    maps = {(item.narrowing.name, item.narrowing.bits) for item in found if item.narrowing.kind == "map"}
    weights = {(item.narrowing.name, item.narrowing.bits) for item in found if item.narrowing.kind == "weights"}
    layers = ("conv2d0", "depthwise_conv2d1", "conv2d2", "conv2d4", "conv2d6")

    assert maps == set(product((*layers, "add3", "mean5"), (4, 2)))
    assert weights == set(product(layers, (4, 2)))
    assert next(item.error for item in found if item.narrowing == Narrowing("map", "conv2d0", 2)) == 0.08


def test_what_may_be_narrowed_can_be_chosen() -> None:
    found = measure_sensitivities(GRAPH, Additive(), map_bits=(4,), weight_bits=(), names=["conv2d0", "add3"])
    assert [item.narrowing for item in found] == [Narrowing("map", "conv2d0", 4), Narrowing("map", "add3", 4)]


def test_without_a_limit_all_that_saves_is_narrowed() -> None:
    result = search(Target())
    # No layer with weights reads the map in front of the addition, nor the one in front of the softmax.
    narrowed = dict.fromkeys(("conv2d0", "depthwise_conv2d1", "add3", "conv2d4", "mean5"), 2)
    assert BitopsCost(GRAPH)(result.steps[-1].precision) == BitopsCost(GRAPH)(Precision(narrowed))
    assert not {"conv2d2", "conv2d6"} & set(result.steps[-1].precision.maps)
    assert result.reached
    assert result.chosen == len(result.steps) - 1


def test_costs_fall_and_estimates_add_up() -> None:
    result = search(Target(), checkpoint=3)
    costs = [step.cost for step in result.steps]
    assert costs == sorted(set(costs), reverse=True)
    for step in result.steps:
        assert step.estimated == pytest.approx(BASE + Additive().total(step.precision), abs=1e-5)
    assert result.steps[0].precision == INT8
    assert [index for index, step in enumerate(result.steps) if step.measured is not None][:3] == [0, 3, 6]


def test_each_step_saves_most_for_its_error() -> None:
    cost = BitopsCost(GRAPH)
    sensitivities = measure_sensitivities(GRAPH, Additive(), weight_bits=())
    result = search(Target())
    for before, after in zip(result.steps, result.steps[1:], strict=False):
        (chosen,) = after.narrowed
        ratios = {}
        for item in sensitivities:
            narrowing = item.narrowing
            if narrowing.bits < narrowing.bits_in(before.precision):
                narrowed = narrowing.applied(before.precision)
                added = Additive().total(narrowed) - Additive().total(before.precision)
                ratios[narrowing] = (cost(before.precision) - cost(narrowed)) / max(added, 1e-7)
        assert ratios[chosen] == pytest.approx(max(ratios.values()))


def test_a_map_and_its_weights_are_narrowed_together_where_only_both_save() -> None:
    def cost(precision: Precision) -> float:
        both = precision.maps.get("add3") == precision.weights.get("conv2d4") == 2
        return 90.0 if both else 100.0 + len(precision.maps)

    errors = Additive()
    result = search_sensitivity(GRAPH, errors, measure_sensitivities(GRAPH, errors), cost, Target())
    assert result.steps[1].narrowed == (Narrowing("map", "add3", 2), Narrowing("weights", "conv2d4", 2))
    assert result.steps[1].estimated == pytest.approx(BASE + errors.total(result.steps[1].precision))
    assert len(result.steps) == 2


@pytest.mark.parametrize("truth", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("limit", [0.005, 0.05, 0.3])
def test_the_measured_error_stays_within_the_limit(truth: float, limit: float) -> None:
    errors = Additive(truth)
    result = search(Target(added_error=limit), errors)

    assert result.choice.measured == BASE + truth * errors.total(result.choice.precision) <= BASE + limit
    # The next step would have been too much.
    following = result.steps[result.chosen + 1 :]
    assert not following or BASE + truth * errors.total(following[0].precision) > BASE + limit
    assert limit < 0.3 or result.chosen > 2


def test_a_cost_to_be_reached_ends_the_search() -> None:
    cost = BitopsCost(GRAPH)
    wanted = cost(INT8) / 1.5
    result = search(Target(cost=wanted))

    assert result.reached
    assert result.choice.cost <= wanted < result.steps[-2].cost
    assert result.choice.measured is not None
    assert not search(Target(cost=1.0)).reached
    assert not search(Target(added_error=1e-3, cost=wanted)).reached


def test_a_network_that_already_costs_little_stays_as_it_is() -> None:
    result = search(Target(cost=1e12))
    assert result.reached
    assert [step.precision for step in result.steps] == [INT8]


def test_the_front_holds_what_nothing_beats() -> None:
    result = search(Target(), checkpoint=1)
    front = result.front
    assert [step.cost for step in front] == sorted((step.cost for step in front), reverse=True)
    assert [step.error for step in front] == sorted(step.error for step in front)
    for step in result.steps:
        assert any(other.cost <= step.cost and other.error <= step.error for other in front)


def test_any_cost_can_be_searched() -> None:
    def held(precision: Precision) -> int:
        """Bytes of two maps that are alive together."""
        return 1152 * (precision.maps.get("conv2d0", 8) + precision.maps.get("add3", 8)) // 8

    errors = Additive()
    sensitivities = measure_sensitivities(GRAPH, errors)
    result = search_sensitivity(GRAPH, errors, sensitivities, held, Target(cost=1152 * 1.5))
    assert result.choice.precision == Precision({"add3": 4})


def test_nothing_to_narrow_is_no_search() -> None:
    result = search_sensitivity(GRAPH, Additive(), (), BitopsCost(GRAPH), Target())
    assert len(result.steps) == 1
    assert result.reached


@pytest.mark.parametrize(
    ("target", "checkpoint"), [(Target(added_error=0.0), 8), (Target(added_error=-1.0), 8), (Target(), 0)]
)
def test_wrong_targets_are_refused(target: Target, checkpoint: int) -> None:
    with pytest.raises(McukitError):
        search(target, checkpoint=checkpoint)


def test_a_real_network_gets_the_same_bits_every_time() -> None:
    choices: list[Mapping[str, int]] = []
    for threads in (1, 2):
        statistics = collect_statistics(FloatModel(GRAPH), images())
        errors = SimulatedError(GRAPH, statistics, images(), threads=threads)
        sensitivities = measure_sensitivities(GRAPH, errors)
        cost = BitopsCost(GRAPH)
        result = search_sensitivity(GRAPH, errors, sensitivities, cost, Target(added_error=0.01))
        assert errors.of(result.choice.precision) == result.choice.measured
        assert result.choice.error <= result.steps[0].error + 0.01
        assert cost.count(result.choice.precision).reduction > 1.3
        choices.append(result.choice.precision.maps)
    assert choices[0] == choices[1]


def test_the_first_step_that_fits_is_found_among_each_kind() -> None:
    result = search(Target())
    positions = {id(step): position for position, step in enumerate(result.steps)}
    assert result.chosen >= 6
    fitting = {1, 2, 6}

    def fits(step: SearchStep) -> bool:
        return positions[id(step)] in fitting

    # What more bits need may be less where the kind changes: here behind the third step.
    assert result.first_that(fits, lambda step: positions[id(step)] > 2) == 1
    assert result.first_that(lambda step: positions[id(step)] >= 6, lambda step: positions[id(step)] > 2) == 6
    assert result.first_that(lambda step: False, lambda step: positions[id(step)]) is None

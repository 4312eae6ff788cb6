# SPDX-License-Identifier: Apache-2.0
"""What users ask for and what they get: schedules, budgets that can't be met, and why."""

from __future__ import annotations

import re

import pytest

from mcukit.errors import McukitError
from mcukit.planning.choose import SCHEDULES, PlanRequest, choose_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.peak import find_peak
from tests.planning.networks import network_named
from tests.planning.small_network import network


def problem_of(name: str, request: PlanRequest) -> McukitError:
    with pytest.raises(McukitError) as caught:
        choose_plan(network_named(name)[0], request)
    return caught.value


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_schedule_that_was_asked_for(schedule: str) -> None:
    plan = choose_plan(network(), PlanRequest(schedule)).plan
    expected = {"auto": "layers", "layers": "layers", "stream": "stream"}.get(schedule, schedule)
    assert expected in plan.schedule.split("+")
    if schedule in {"patches", "strips"}:
        assert plan.stages[0].schedule == schedule
        assert {stage.schedule for stage in plan.stages[1:]} <= {"layers"}


def test_a_budget_changes_the_schedule_only_where_it_must() -> None:
    model = network()
    layers = choose_plan(model, PlanRequest("layers"))
    needed = layers.plan.arena_bytes
    assert choose_plan(model, PlanRequest(sram=needed)).plan == layers.plan
    tighter = choose_plan(model, PlanRequest(sram=needed - 1))
    assert tighter.plan.arena_bytes < needed
    assert tighter.plan.schedule != "layers"
    assert tighter.instructions > layers.instructions


def test_pushed_rows_are_held_as_a_ring() -> None:
    plan = choose_plan(network(), PlanRequest("stream", pushed=True)).plan
    assert plan.pushed
    assert plan.maps["image"].rows == 3
    assert plan.maps["image"].bytes == 3 * 10 * 3


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_does_not_fit_names_operator_bytes_and_a_budget_that_does(schedule: str) -> None:
    error = problem_of("residual", PlanRequest(schedule, sram=50))
    (problem,) = error.problems
    assert problem.code == "budget-exceeded"
    found = re.search(r"needs ([\d,]+) bytes of SRAM and the budget is 50: ([\d,]+) bytes too many", problem.message)
    assert found
    needed = int(found[1].replace(",", ""))
    assert int(found[2].replace(",", "")) == needed - 50
    assert f"a budget of {needed:,} bytes would do" in problem.hint
    assert re.match(r"node '\w+' \(\w+\), where most memory is in use", problem.where)
    plan = choose_plan(network_named("residual")[0], PlanRequest(schedule, sram=needed)).plan
    assert plan.arena_bytes <= needed


@pytest.mark.parametrize(
    ("name", "request_", "reason"),
    [
        ("residual", PlanRequest("layers", pushed=True), "can't be pushed with the schedule 'layers'"),
        ("residual", PlanRequest("patches", pushed=True), "can't be pushed with the schedule 'patches'"),
        ("classifier", PlanRequest("rows"), "there is no schedule 'rows'"),
    ],
)
def test_what_can_not_be_planned_says_why(name: str, request_: PlanRequest, reason: str) -> None:
    error = problem_of(name, request_)
    assert reason in error.problems[0].message
    assert error.problems[0].hint


def test_the_peak_is_the_most_that_is_alive_at_once() -> None:
    flow = Dataflow(network())
    plan = choose_plan(network(), PlanRequest("layers")).plan
    peak = find_peak(flow, plan)
    assert peak.bytes <= plan.arena_bytes
    assert peak.bytes == sum(size for _, size in peak.live)
    # a and b share 12x10x4 bytes in place; the input's rows die while a is computed.
    assert peak.layer is not None
    assert flow.layers[peak.layer].name == "a_layer"
    assert dict(peak.live).keys() >= {"image", "a"}

# SPDX-License-Identifier: Apache-2.0
"""The plan of a quantized network, as the user, the board and the budget want it."""

from __future__ import annotations

__all__ = ["check_plan_option", "make_plan"]

from dataclasses import replace
from functools import partial
from pathlib import Path

from mcukit.boards import Board
from mcukit.errors import McukitError
from mcukit.json_object import read_json
from mcukit.planning.choose import SCHEDULES, Planned, PlanRequest, choose_plan
from mcukit.planning.costs import load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lean_kernels import plan_that_fits, plan_with_lean_kernels
from mcukit.planning.plan import Plan
from mcukit.planning.plan_file import load_plan
from mcukit.planning.plan_kernels import kernels_from_file, with_plan_kernels
from mcukit.planning.planner import plan_of
from mcukit.planning.search import FoundPlan
from mcukit.quantized.integer import IntegerModel, other_kernels
from mcukit.workflow.budget import Budget
from mcukit.workflow.kernels import costs_for
from mcukit.workflow.options import QuantizeOptions


def check_plan_option(options: QuantizeOptions) -> None:
    """Refuses what can be no plan, before minutes are spent on calibration."""
    if options.plan in SCHEDULES:
        if options.push_rows and options.plan not in {"auto", "stream"}:
            raise McukitError(
                "wrong-option",
                f"rows of the input can't be pushed with the schedule '{options.plan}'",
                where="--push-rows",
                hint="use --plan auto or stream",
                exit_code=2,
            )
        return
    path = Path(options.plan)
    if not path.suffix and not path.exists():
        raise McukitError(
            "wrong-option",
            f"there is no schedule '{options.plan}'",
            where="--plan",
            hint=f"choose one of {', '.join(SCHEDULES)}, or the path of a plan.json",
            exit_code=2,
        )
    read_json(path)


def make_plan(
    model: IntegerModel, options: QuantizeOptions, board: Board | None, budget: Budget, *, settle: bool = True
) -> Planned:
    """The plan in a file, or the best one that the search finds, in the memory regions of the board.

    Layers get other kernels than `model` has where the file says so, or where it fits in no other way. settle: whether
    these are to be as few as possible; without, any plan that fits will do.
    Raises McukitError: what `load_plan` and `choose_plan` raise, and "budget-exceeded".
    """
    target = costs_for(board, model.kernels)
    if options.plan in SCHEDULES:
        request = PlanRequest(str(options.plan), options.push_rows, budget.sram, target)
        model, found = _search(model, request, budget, settle=settle)
        return Planned(found.plan, request.schedule, found, target, other_kernels(model))
    model, plan = _load(model, options, budget, target, settle=settle)
    return Planned(plan, Path(options.plan).name, None, target, other_kernels(model))


def _load(
    model: IntegerModel, options: QuantizeOptions, budget: Budget, target: str, *, settle: bool
) -> tuple[IntegerModel, Plan]:
    """The plan in a file, with the kernels that it asks for; where it asks for none, with some that fit."""
    path = Path(options.plan)

    def load(model: IntegerModel) -> Plan:
        plan = load_plan(path, model, regions=budget.regions, weight_regions=budget.weight_regions)
        if options.push_rows and not plan.pushed:
            raise McukitError(
                "wrong-option",
                "the plan in the file takes the input whole",
                where="--push-rows",
                hint=f'set "pushed" to true in {path}, or leave the option out',
                exit_code=2,
            )
        budget.check_sram(plan)
        return plan

    given = kernels_from_file(path)
    if given is None:
        return plan_that_fits(model, load_costs(target), load, settle=settle)
    model = with_plan_kernels(model, given, str(path))
    return model, load(model)


def _search(
    model: IntegerModel, request: PlanRequest, budget: Budget, *, settle: bool
) -> tuple[IntegerModel, FoundPlan]:
    """The best plan in one memory region; where none fits, in all regions together, or with kernels of less memory."""
    together = sum(region.bytes for region in budget.regions or ())
    requests = [request, *([replace(request, sram=together)] if together > (request.sram or 0) else [])]
    searches = [partial(_search_in, request=each, budget=budget) for each in requests]
    for search in searches:
        try:
            return model, search(model)
        except McukitError as error:
            if error.problems[0].code != "budget-exceeded":
                raise
    first: McukitError | None = None
    for search in searches:
        try:
            lean, found = plan_with_lean_kernels(model, load_costs(request.target), search, settle=settle)
        except McukitError as error:
            first = first or error
        else:
            return lean, _beside_quicker_kernels(model, request, found)
    raise first or AssertionError("there is a request")


def _beside_quicker_kernels(model: IntegerModel, request: PlanRequest, found: FoundPlan) -> FoundPlan:
    """A plan with lean kernels, with a bound that holds for any: that of the quicker ones where there is room."""
    return replace(found, bound=min(choose_plan(model, replace(request, sram=None)).bound, found.bound))


def _search_in(model: IntegerModel, *, request: PlanRequest, budget: Budget) -> FoundPlan:
    return _placed(model, choose_plan(model, request), budget)


def _placed(model: IntegerModel, found: FoundPlan, budget: Budget) -> FoundPlan:
    """The plan in the board's regions, if they are known."""
    if budget.regions is None and budget.weight_regions is None:
        return found
    plan = plan_of(
        Dataflow(model),
        found.plan.stages,
        pushed=found.plan.pushed,
        regions=budget.regions,
        weight_regions=budget.weight_regions,
    )
    return replace(found, plan=plan)

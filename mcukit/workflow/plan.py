# SPDX-License-Identifier: Apache-2.0
"""The plan of a quantized network, as the user, the board and the budget want it."""

from __future__ import annotations

__all__ = ["check_plan_option", "make_plan"]

from dataclasses import replace
from pathlib import Path

from mcukit.boards import Board
from mcukit.errors import McukitError
from mcukit.json_object import read_json
from mcukit.planning.choose import SCHEDULES, Planned, PlanRequest, choose_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan_file import load_plan
from mcukit.planning.planner import plan_of
from mcukit.planning.search import FoundPlan
from mcukit.quantized.integer import IntegerModel
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


def make_plan(model: IntegerModel, options: QuantizeOptions, board: Board | None, budget: Budget) -> Planned:
    """The plan in a file, or the best one that the search finds, in the memory regions of the board.

    Raises McukitError: what `load_plan` and `choose_plan` raise, and "budget-exceeded".
    """
    target = costs_for(board, model.kernels)
    if options.plan in SCHEDULES:
        request = PlanRequest(str(options.plan), options.push_rows, budget.sram, target)
        found = _search(model, request, budget)
        return Planned(found.plan, request.schedule, found, target)
    path = Path(options.plan)
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
    return Planned(plan, path.name, None, target)


def _search(model: IntegerModel, request: PlanRequest, budget: Budget) -> FoundPlan:
    """The best plan in one memory region; where none fits, the best one in all regions together."""
    try:
        return _placed(model, choose_plan(model, request), budget)
    except McukitError as error:
        together = sum(region.bytes for region in budget.regions or ())
        if error.problems[0].code != "budget-exceeded" or together <= (request.sram or 0):
            raise
        try:
            return _placed(model, choose_plan(model, replace(request, sram=together)), budget)
        except McukitError:
            raise error from None


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

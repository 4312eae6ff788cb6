# SPDX-License-Identifier: Apache-2.0
"""From what a user asks for to a plan."""

from __future__ import annotations

__all__ = ["SCHEDULES", "PlanRequest", "Planned", "choose_plan"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mcukit.errors import McukitError
from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM, Shape
from mcukit.planning.costs import DEFAULT_TARGET, load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.peak import find_peak
from mcukit.planning.plan import Plan
from mcukit.planning.search import FoundPlan, PlanSearch, default_shapes
from mcukit.quantities import counted
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.kernel_sets import KernelSet

SCHEDULES = ("auto", "layers", "stream", "patches", "strips")

_NO_LIMIT = 1 << 40


@dataclass(frozen=True)
class PlanRequest:
    """What to plan.

    schedule: "auto": the least instructions that fit the budget, of layers, streams, and a first stage in one of the
        usual grids of patches or strips; FoundPlan.optimal is about these.
        "layers": one operator after the other. "stream": the smallest arena in which nothing is computed twice.
        "patches", "strips": a first stage of tiles, and layers after it; the least instructions that fit the budget, or
        the smallest arena where there is none.
    pushed: whether the application hands over the input row by row. Without a budget "auto" then takes the smallest
        arena.
    sram: bytes that the arena may have; None for no limit.
    target: the core whose instructions are counted.
    two_forms: whether tiles must be such that each can have a precision of its own.
    """

    schedule: str = "auto"
    pushed: bool = False
    sram: int | None = None
    target: str = DEFAULT_TARGET
    two_forms: bool = False


@dataclass(frozen=True)
class Planned:
    """requested: what the user asked for. found: what the search says of the plan; None where it came from a file.

    target: the core whose instructions the search counted. kernels: of layers that take those of another set than their
    network, as `with_kernels` takes them: what the plan was made with.
    """

    plan: Plan
    requested: str
    found: FoundPlan | None
    target: str
    kernels: Mapping[str, KernelSet] = field(default_factory=dict)


def choose_plan(model: IntegerModel, request: PlanRequest) -> FoundPlan:
    """The best plan that the search finds for a request.

    Raises McukitError "budget-exceeded" with the operator that needs most, the bytes missing, and the smallest budget
    that would do; "bad-plan" where there is no such plan of the network at all.
    """
    if request.schedule not in SCHEDULES:
        raise McukitError(
            "wrong-option",
            f"there is no schedule '{request.schedule}'",
            where="--plan",
            hint=f"choose one of {', '.join(SCHEDULES)}, or a plan.json",
            exit_code=2,
        )
    flow = Dataflow(model)
    search = _search(flow, request)
    wants_small = request.pushed and request.schedule == "auto"
    if request.schedule == "stream" or (
        request.sram is None and (wants_small or request.schedule in {"patches", "strips"})
    ):
        found = search.smallest()
    else:
        found = search.cheapest(_NO_LIMIT if request.sram is None else request.sram)
    if found is None:
        found = search.smallest()
    if found is None:
        raise _impossible(flow, request)
    if request.sram is not None and found.plan.arena_bytes > request.sram:
        raise _too_large(flow, request, found)
    return found


def _search(flow: Dataflow, request: PlanRequest) -> PlanSearch:
    shapes = default_shapes()
    first: tuple[Shape, ...] | None = None
    if request.schedule == "layers":
        shapes = (LAYER_BY_LAYER,)
    elif request.schedule == "stream":
        shapes = (LAYER_BY_LAYER, STREAM)
    elif request.schedule in {"patches", "strips"}:
        first = tuple(shape for shape in shapes if shape.stage(()).schedule == request.schedule)
        shapes = (LAYER_BY_LAYER, *first)
    costs = load_costs(request.target)
    return PlanSearch(flow, costs, shapes, pushed=request.pushed, first=first, two_forms=request.two_forms)


def _too_large(flow: Dataflow, request: PlanRequest, smallest: FoundPlan) -> McukitError:
    """Which operator needs most where even the smallest plan does not fit, and what would."""
    budget, needed = request.sram or 0, smallest.plan.arena_bytes
    peak = find_peak(flow, smallest.plan)
    where = "the input"
    if peak.layer is not None:
        layer = flow.layers[peak.layer]
        where = f"node '{layer.name}' ({layer.node.operator.op_name}), where most memory is in use"
    which = "of all schedules" if request.schedule == "auto" else f"of the schedule '{request.schedule}'"
    options = [f"a budget of {needed:,} bytes would do"]
    if request.schedule != "auto":
        options.append("--plan auto may find a smaller one")
    if not request.pushed:
        pushed = _smallest_pushed(flow, request)
        if pushed is not None and pushed < needed:
            options.append(f"if rows of the input are pushed (--push-rows), {pushed:,} are enough")
    return McukitError(
        "budget-exceeded",
        f"the smallest plan that was found {which} needs {needed:,} bytes of SRAM and the budget is {budget:,}: "
        f"{counted(needed - budget, 'byte')} too many",
        where=where,
        hint="; ".join(options),
    )


def _smallest_pushed(flow: Dataflow, request: PlanRequest) -> int | None:
    pushed = replace(request, pushed=True, schedule="auto")
    found = PlanSearch(flow, load_costs(pushed.target), (LAYER_BY_LAYER, STREAM), pushed=True).smallest()
    return None if found is None else found.plan.arena_bytes


def _impossible(flow: Dataflow, request: PlanRequest) -> McukitError:
    name = flow.model.input.name
    if request.pushed:
        reason = f"rows of the input can't be pushed with the schedule '{request.schedule}'"
        hint = "use --plan auto or stream"
        if request.schedule in {"auto", "stream"}:
            reason = "rows of the input can't be pushed, because the network reshapes it or hands it out"
            hint = "give the input whole"
    else:
        reason = f"no stage of the schedule '{request.schedule}' can be formed of the first layers"
        hint = "use --plan auto"
    return McukitError("bad-plan", reason, where=name, hint=hint)

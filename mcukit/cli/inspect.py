# SPDX-License-Identifier: Apache-2.0
"""`mcukit inspect`: what is in a model, and what of it is not supported."""

from __future__ import annotations

__all__ = ["inspect"]

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import PATH, json_option
from mcukit.cli.output import Output

if TYPE_CHECKING:
    from mcukit.errors import Problem
    from mcukit.planning.search import FoundPlan
    from mcukit.workflow.inspect import Inspection

_PLACES = (
    re.compile(r"node '(?P<node>.*)' \((?P<op>[^()]+)\)", re.DOTALL),
    re.compile(r"operator [0-9]+ \((?P<op>[^()]+)\) computing '(?P<node>.*)'", re.DOTALL),
)
"""How the importers of ONNX and of TFLite name a node."""


@click.command()
@click.argument("model", type=PATH)
@click.option("--plans", is_flag=True, help="Plans worth a choice: SRAM against MACs.")
@json_option
def inspect(model: Path, plans: bool, as_json: bool) -> int:
    """Shows operators, MACs and memory per layer of MODEL, and all that is unsupported and why."""
    from mcukit.report.terminal import inspection_view
    from mcukit.workflow.inspect import inspect_model

    inspection = inspect_model(model)
    if plans and inspection.supported:
        return _plans(model, as_json)
    Output(as_json).result(_fields(inspection), lambda: inspection_view(inspection))
    return 0 if inspection.supported else 1


def _plans(model: Path, as_json: bool) -> int:
    from mcukit.report.plans import plans_view
    from mcukit.workflow.plans import plan_front

    front = plan_front(model)
    fields = {
        "name": front.name,
        "target": front.target,
        "macs": front.macs,
        "plans": [_plan_fields(found) for found in (*front.plans, *front.pushed)],
        "grids": [{"grid": list(cost.grid), "split": cost.split, **_plan_fields(cost.found)} for cost in front.grids],
    }
    Output(as_json).result(fields, lambda: plans_view(front))
    return 0


def _plan_fields(found: FoundPlan) -> dict[str, Any]:
    return {
        "schedule": found.plan.schedule,
        "pushed": found.plan.pushed,
        "arena_bytes": found.plan.arena_bytes,
        "macs": found.macs,
        "macs_redundant": found.macs_redundant,
        "estimated_instructions": found.instructions,
        "optimal": found.optimal,
        "stages": [
            {
                "schedule": stage.schedule,
                "grid": [stage.tile_rows, stage.tile_columns],
                "halo": stage.halo.value,
                "layers": list(stage.layers),
            }
            for stage in found.plan.stages
        ],
    }


def _fields(inspection: Inspection) -> dict[str, Any]:
    return {
        "name": inspection.name,
        "supported": inspection.supported,
        "unsupported": [_unsupported(problem) for problem in inspection.problems],
        "macs": inspection.macs,
        "parameters": inspection.parameters,
        "input_shape": inspection.input_shape,
        "output_shapes": inspection.output_shapes,
        "layers": [asdict(layer) for layer in inspection.layers],
    }


def _unsupported(problem: Problem) -> dict[str, str | None]:
    """op is null for what concerns no single node."""
    found = next(filter(None, (place.fullmatch(problem.where) for place in _PLACES)), None)
    node, operator = (found["node"], found["op"]) if found else (problem.where, None)
    reasons = {"code": problem.code, "reason": problem.message, "hint": problem.hint}
    return {"node": node, "op": operator, **reasons}
